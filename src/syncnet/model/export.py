"""A checkpoint becomes a model folder: four ONNX graphs with config, licence and card inside, and a registry entry.

Graphs (float32; F features of a stream, T frames, N columns, W windows):
`video_trunk` crops (1, T, 111, 111) -> (1, T - 4, F); `audio_trunk` mfcc (1, 13, N) -> (1, N - 19, F);
`video_head`, `audio_head` features (W, F) -> embeddings (W, 256). Standardising stands between them, in numpy.
"""

import hashlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from syncnet.encoder import PARTS
from syncnet.errors import InputError
from syncnet.model.checkpoint import Trained
from syncnet.model.conv_norm import ConvNorm
from syncnet.model.network import SyncNet, VideoBlock
from syncnet.model.onnx_file import add_texts, halve, quantise

PARITY = 1e-4  # largest absolute difference to torch, in units of the output (features of about 1, radius 10)
ALIKE = 0.05  # the same for trunks in 16-bit floats; others are far from it
REGISTRY = "syncnet-model.json"
OPSET = 17

TEACHER_NOTICE = """The picture stream started from the weights of LR-ASD (Liao et al., IJCV 2025), under this licence:

MIT License

Copyright (c) 2025 Liao Junhua

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


class FoldedConv(nn.Module):
    """A `ConvNorm` in eval mode as one convolution. Over time (taps, 1) it becomes 1x1 over neighbouring frames
    laid side by side as channels, which runtimes do fastest."""

    def __init__(self, layer: ConvNorm, *, over_time: bool = False) -> None:
        super().__init__()
        weight, bias = (t.detach().clone() for t in layer.folded())
        self.taps = weight.shape[2] if over_time else 1
        if over_time:
            weight = weight[..., 0].transpose(1, 2).reshape(weight.shape[0], -1, 1, 1)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.stride, self.padding = layer.conv.stride, layer.conv.padding

    def forward(self, x: Tensor) -> Tensor:
        if self.taps > 1:
            frames = x.shape[0] - self.taps + 1
            x = torch.cat([x[i:i + frames] for i in range(self.taps)], 1)
        return torch.relu(nn.functional.conv2d(x, self.weight, self.bias, self.stride, self.padding))


class VideoTrunkGraph(nn.Module):
    """The picture trunk for one clip, norms folded."""

    def __init__(self, model: SyncNet) -> None:
        super().__init__()
        trunk = model.video_trunk
        self.blocks = nn.ModuleList()
        for block in trunk.blocks:
            assert isinstance(block, VideoBlock)
            layers = [FoldedConv(block.s_1), FoldedConv(block.s_2),
                      FoldedConv(block.t_1, over_time=True), FoldedConv(block.t_2, over_time=True)]
            self.blocks.append(nn.Sequential(*layers))
        self.pool, self.flat = trunk.pool, trunk.flat
        self.shape = nn.Sequential(FoldedConv(trunk.shape_1), FoldedConv(trunk.shape_2))

    def forward(self, crops: Tensor) -> Tensor:
        x = crops.transpose(0, 1)
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i + 1 < len(self.blocks):
                x = self.pool(x)
        strongest = x.amax((2, 3))
        return torch.cat([strongest, self.flat(self.shape(x).flatten(1))], 1).unsqueeze(0)


class AudioTrunkGraph(nn.Module):
    """The sound trunk for one clip, norms folded."""

    def __init__(self, model: SyncNet) -> None:
        super().__init__()
        trunk = model.audio_trunk
        self.layers = nn.Sequential(FoldedConv(trunk.conv1), FoldedConv(trunk.conv2), trunk.pool2,
                                    FoldedConv(trunk.conv3), trunk.pool3, FoldedConv(trunk.conv4),
                                    FoldedConv(trunk.conv5))

    def forward(self, mfcc: Tensor) -> Tensor:
        return self.layers(mfcc.unsqueeze(1)).squeeze(2).transpose(1, 2)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Exported:
    """Folder of a model and how far its graphs are from torch (largest absolute difference by part)."""

    folder: Path
    parity: dict[str, float]


def export(trained: Trained, folder: Path, *, name: str | None = None, version: str = "1", licence: str = "",
           card: str = "", metrics: Mapping[str, Any] | None = None,
           calibration: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]] | None = None,
           wide: bool = False, half: bool = False, trunks: str | None = None, zero_ms: float = 0.0) -> Exported:
    """Write the four graphs and `syncnet-model.json` into `folder`; `wide`: with the heads that see 19 frames.

    `trunks`: write the heads only, to stand on the trunks of the model of that name in the folder beside.
    `zero_ms`: where recordings in sync stand for the bare network; every answer is counted from there.
    `half`: weights lie on disk as 16-bit floats and are computed with as 32-bit ones; what that moves is in the entry.

    `calibration`: pairs of standardised crops (T, 111, 111) and MFCC (13, N); if given, both trunks are written in
    int8 (QDQ, per channel) instead of float32. `licence`, `card`: texts put into every file (the teacher's notice is
    added when it was used). Raises InputError when a float graph differs from torch by more than 1e-4.
    """
    model = trained.model.float().eval().cpu()
    config = model.config
    if wide and not config.context:
        raise InputError("this checkpoint has no heads with context: train with network.context set, or leave it out.")
    video_head, audio_head = model.heads(wide)
    name = name or config.name
    if trained.recipe.get("teacher"):
        licence = f"{licence}\n\n{TEACHER_NOTICE}".strip()
    card = card or default_card(trained, name)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    crops = torch.randn(1, 23, config.crop_size, config.crop_size)
    mfcc = torch.randn(1, config.coefficients, 67)
    graphs: dict[str, tuple[nn.Module, nn.Module, Tensor, str, str]] = {
        "video_trunk": (VideoTrunkGraph(model), model.video_trunk, crops, "crops", "features"),
        "audio_trunk": (AudioTrunkGraph(model), model.audio_trunk, mfcc, "mfcc", "features"),
        "video_head": (video_head, video_head, torch.randn(19, config.video_features), "features",
                       "embeddings"),
        "audio_head": (audio_head, audio_head, torch.randn(19, config.audio_features), "features",
                       "embeddings"),
    }
    parity, moved = {}, {}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        for part, (graph, reference, example, source, result) in graphs.items():
            path = Path(scratch) / f"{part}.onnx"
            axis = {"crops": 1, "mfcc": 2, "features": 0}[source]
            _write_graph(graph, example, path, source, result, axis, out_axis=1 if part.endswith("trunk") else 0)
            parity[part] = _difference(path, reference, example, axis)
            if parity[part] > PARITY:
                raise InputError(f"{part}: the ONNX graph differs from torch by {parity[part]:.2g} (limit {PARITY:g}).")
            if trunks is not None and part.endswith("trunk"):
                beside = folder.parent / trunks / path.name
                if not beside.is_file() or _difference(beside, reference, example, axis) > ALIKE:
                    raise InputError(f"{beside} is not the {part} of this checkpoint: export that model from it first.")
            if calibration is not None and part.endswith("trunk"):
                inputs = [c[0] if part == "video_trunk" else c[1] for c in calibration]
                quantise(path, source, inputs)
            if half:
                halve(path)
                moved[part] = _difference(path, reference, example, axis)
            texts = {"config": json.dumps(config.to_dict()), "licence": licence, "card": card, "part": part,
                     "name": name, "version": version}
            add_texts(path, texts)
        sums = {part: hashlib.sha256((Path(scratch) / f"{part}.onnx").read_bytes()).hexdigest() for part in PARTS}
        entry = {
            "name": name, "version": version,
            "hash": hashlib.sha256("".join(sums[p] for p in PARTS).encode()).hexdigest()[:16],
            "config": config.to_dict(), "wide": wide, "zero_ms": zero_ms,
            "precision": "float32" if calibration is None else "int8",
            "weights": "float16" if half else "float32",
            "sha256": {f"{part}.onnx": value for part, value in sums.items()},
            "trained": {"step": trained.step, **trained.recipe},
            "metrics": {**trained.metrics, **(metrics or {})}, "parity": parity,
            "moved_by_half_weights": moved, "licence": licence, "card": card,
        }
        own = [part for part in PARTS if trunks is None or not part.endswith("trunk")]
        if trunks is not None:
            entry["trunks"] = trunks
            entry["sha256"] = {f"{part}.onnx": sums[part] for part in own}
        registry = Path(scratch) / REGISTRY
        registry.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
        for file in (*(f"{part}.onnx" for part in own), REGISTRY):
            os.replace(Path(scratch) / file, folder / file)
    return Exported(folder, parity)


def default_card(trained: Trained, name: str) -> str:
    """A model card of what the checkpoint knows about itself."""
    recipe = trained.recipe
    lines = [f"# {name}", "",
             f"Trained {trained.step} steps (seed {recipe.get('seed')}, loss {recipe.get('loss', {}).get('kind')}) on "
             f"{recipe.get('clips')} clips of {recipe.get('speakers')} speakers, {recipe.get('minutes_of_video')} min "
             f"of video; picture stream started from {recipe.get('teacher') or 'random weights'}."]
    if trained.metrics:
        lines.append("Held-out training speakers, within one frame of 31 candidates: "
                     + ", ".join(f"{k} {100 * v:.1f} %" for k, v in trained.metrics.items()) + ".")
    return "\n".join(lines) + "\n"


def _write_graph(graph: nn.Module, example: Tensor, path: Path, source: str, result: str, axis: int,
                 out_axis: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(graph.eval(), (example,), str(path), input_names=[source], output_names=[result],
                          dynamic_axes={source: {axis: "length"}, result: {out_axis: "windows"}},
                          opset_version=OPSET, do_constant_folding=True, dynamo=False)


def _difference(path: Path, reference: nn.Module, example: Tensor, axis: int) -> float:
    """Largest absolute difference between graph and torch, at the example's length and at another."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for x in (example, torch.cat([example, example.flip(axis)], axis)):
        with torch.no_grad():
            wanted = reference(x).numpy()
        got = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
        if got.shape != wanted.shape:
            raise InputError(f"{path.stem}: the ONNX graph gives {got.shape}, torch {wanted.shape}.")
        worst = max(worst, float(np.abs(got - wanted).max()))
    return worst

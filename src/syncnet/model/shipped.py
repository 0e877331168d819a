"""A model that ships (ONNX graphs, norms folded) becomes a network that can learn on."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from syncnet.encoder import ModelInfo, find_model
from syncnet.errors import InputError
from syncnet.model.checkpoint import Trained, load_model
from syncnet.model.conv_norm import ConvNorm
from syncnet.model.network import SyncNet, SyncNetConfig
from syncnet.model.pairs import Batch


def is_checkpoint(source: Path) -> bool:
    """Whether this names a checkpoint file (there or not) rather than a model that ships."""
    return source.is_file() or source.suffix == ".pt"


def trained_model(source: Path) -> Trained:
    """The network of a checkpoint file, or else of a model by its registry name or exported folder; in eval mode.

    Raises InputError where there is neither.
    """
    if is_checkpoint(source):
        return load_model(source)
    info = find_model(source)
    model = SyncNet(SyncNetConfig.from_dict(info.description["config"]))
    start_from_shipped(model, info)
    made = dict(info.description.get("trained", {}))
    step = int(made.pop("step", 0))
    return Trained(model.eval(), step, dict(info.description.get("metrics", {})), made)


def identity(source: Path) -> str:
    """A hash that tells the weights of a checkpoint file or of a model that ships from all others."""
    if is_checkpoint(source):
        return hashlib.sha1(source.read_bytes()).hexdigest()
    return find_model(source).identity["hash"]


def start_from_shipped(model: SyncNet, info: ModelInfo) -> None:
    """Put the weights of `info` and of the models beside it on the same trunks into `model`, norms unfolded.

    A wide model brings the heads of the model whose trunks it stands on. A head that no file has stays as it is.
    Raises InputError for an int8 model or one of another shape.
    """
    own = info.description.get("config")
    theirs = model.config.to_dict()
    if own is None or any(_plain(own.get(key)) != _plain(value) for key, value in theirs.items() if key != "name"):
        raise InputError(f"the model {info.name} has another shape than the network of this course: set network.* as "
                         "in its syncnet-model.json, or start without it.")
    if info.description.get("precision") == "int8":
        raise InputError(f"the model {info.name} is in int8, from which nothing can learn: give the float one.")
    base = find_model(info.folder.parent / info.description["trunks"]) if "trunks" in info.description else info
    with torch.no_grad():
        _trunks(model, base)
        for each in {base.folder: base, info.folder: info}.values():
            for head, part in zip(model.heads(bool(each.description.get("wide"))), ("video_head", "audio_head"),
                                  strict=True):
                head.load_state_dict(_initialisers(each.files[part]))


@torch.no_grad()
def centre_norms(learner: nn.Module, batches: Iterable[Batch]) -> None:
    """Give every norm the statistics of some batches without changing what the network computes in eval mode.

    An unfolded norm knows nothing of what passes through it; one that uses each batch's own statistics while it
    learns would compute something else.
    """
    sums: dict[ConvNorm, list[Tensor]] = {m: [] for m in learner.modules() if isinstance(m, ConvNorm)}

    def listen(layer: nn.Module, given: tuple[Tensor, int | None]) -> None:
        assert isinstance(layer, ConvNorm)
        out = layer.plain(*given).float()
        axes = (0, 2, 3)
        sums[layer].append(torch.stack([out.mean(axes), out.square().mean(axes)]))

    hooks = [layer.register_forward_pre_hook(listen) for layer in sums]
    learner.eval()
    for batch in batches:
        learner(batch)
    for hook in hooks:
        hook.remove()
    for layer, parts in sums.items():
        if parts:
            mean, square = torch.stack(parts).mean(0)
            layer.recentre(mean, (square - mean.square()).clamp(min=0.0))


def _trunks(model: SyncNet, info: ModelInfo) -> None:
    video, audio = (_initialisers(info.files[part]) for part in ("video_trunk", "audio_trunk"))
    trunk = model.video_trunk
    for i, block in enumerate(trunk.blocks):
        for j, name in enumerate(("s_1", "s_2", "t_1", "t_2")):
            layer = getattr(block, name)
            weight = video[f"blocks.{i}.{j}.weight"]
            outputs, inputs, height, width = layer.conv.weight.shape
            if name[0] == "t":  # taps lie side by side as channels in the graph
                weight = weight.reshape(outputs, height, inputs, width).transpose(1, 2)
            layer.unfold(weight, video[f"blocks.{i}.{j}.bias"])
    for i, layer in enumerate((trunk.shape_1, trunk.shape_2)):
        layer.unfold(video[f"shape.{i}.weight"], video[f"shape.{i}.bias"])
    trunk.flat.load_state_dict({"weight": video["flat.weight"], "bias": video["flat.bias"]})
    sound = model.audio_trunk
    for i, layer in {0: sound.conv1, 1: sound.conv2, 3: sound.conv3, 5: sound.conv4, 6: sound.conv5}.items():
        layer.unfold(audio[f"layers.{i}.weight"], audio[f"layers.{i}.bias"])


def _initialisers(path: Path) -> dict[str, Tensor]:
    """The weights inside a graph by name, as float32."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    return {w.name.removesuffix(".half"): torch.from_numpy(numpy_helper.to_array(w).astype(np.float32))
            for w in graph.initializer}


def _plain(value: object) -> object:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value

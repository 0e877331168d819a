"""The released v2 network (J. S. Chung, 2020): its layers, a safe loader for its weights, and its way to ONNX.

Five colour faces of 224 x 224 pixels and 0.2 s of sound become two vectors of 1024 numbers. Scoring runs on the ONNX
files alone; this module is needed once, to turn the published state dict into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from syncnet.errors import InputError

FACE = 224  # pixels on a side
FRAMES = 5
EMBEDDING = 1024
PARAMETERS = 13_631_616
OPSET = 17


class V2(nn.Module):
    """The two streams, with the names that the published state dict uses."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv2(1, 64, 3, 1),
            nn.MaxPool2d(1, stride=1),  # does nothing, but it counts in the names of the layers behind it
            *_conv2(64, 192, 3, 1),
            nn.MaxPool2d(3, stride=(1, 2)),
            *_conv2(192, 384, 3, 1),
            *_conv2(384, 256, 3, 1),
            *_conv2(256, 256, 3, 1),
            nn.MaxPool2d(3, stride=2),
            *_conv2(256, 512, (5, 4), 0),
        )
        self.netfcaud = _head()
        self.netcnnlip = nn.Sequential(
            *_conv3(3, 96, (FRAMES, 7, 7), 2, 0),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_conv3(96, 256, (1, 5, 5), 2, 1),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            *_conv3(256, 256, (1, 3, 3), 1, 1),
            *_conv3(256, 256, (1, 3, 3), 1, 1),
            *_conv3(256, 256, (1, 3, 3), 1, 1),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_conv3(256, 512, (1, 6, 6), 1, 0),
        )
        self.netfclip = _head()

    def embed_video(self, faces: Tensor) -> Tensor:
        """Faces (N, 3, 5, 224, 224) float32, BGR, 0 to 255, to embeddings (N, 1024)."""
        out: Tensor = self.netfclip(self.netcnnlip(faces).flatten(1))
        return out

    def embed_audio(self, columns: Tensor) -> Tensor:
        """Coefficients (N, 1, 13, 20) float32 to embeddings (N, 1024)."""
        out: Tensor = self.netfcaud(self.netcnnaud(columns).flatten(1))
        return out


def _conv2(inputs: int, outputs: int, kernel: int | tuple[int, int], padding: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU()


def _conv3(inputs: int, outputs: int, kernel: tuple[int, int, int], step: int, padding: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv3d(inputs, outputs, kernel, stride=(1, step, step), padding=(0, padding, padding))
    return conv, nn.BatchNorm3d(outputs), nn.ReLU()


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))


def load(file: Path) -> V2:
    """Read a v2 state dict without running any code from the file; the network comes back in evaluation mode.

    Raises InputError if the file is not a dictionary of tensors, or if a name, a shape or a type is not v2's.
    """
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a parser meets in a file of any kind
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{file} cannot be read as a file of PyTorch weights: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{file} holds no state dict (names with tensors) but a {type(state).__name__}.")
    network = V2()
    _check_names(file, state, network.state_dict())
    network.load_state_dict(dict(state), strict=False)
    return network.eval()


def _check_names(file: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise InputError unless names, shapes and types are v2's; the counters of the batch norms may be absent."""
    needed = {name for name in expected if not name.endswith("num_batches_tracked")}
    missing, strange = sorted(needed - state.keys()), sorted(state.keys() - expected.keys())
    if missing or strange:
        raise InputError(
            f"{file} is not a v2 state dict: the names do not match. Missing: {_some(missing)}. "
            f"Not known: {_some(strange)}."
        )
    wrong = [
        f"{name} is {tuple(state[name].shape)}, not {tuple(expected[name].shape)}"
        for name in sorted(state)
        if state[name].shape != expected[name].shape
    ]
    if wrong:
        raise InputError(f"{file} is not a v2 state dict: {_some(wrong)}.")
    broken = [name for name in sorted(needed) if not state[name].dtype.is_floating_point]
    broken += [name for name in sorted(needed) if name not in broken and not bool(torch.isfinite(state[name]).all())]
    if broken:
        raise InputError(f"{file} holds weights that are not finite numbers: {_some(broken)}.")


def _some(names: list[str]) -> str:
    """The first few of a list, in words."""
    if not names:
        return "none"
    rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + rest


def convert(file: Path, folder: Path) -> None:
    """Turn a v2 state dict into `folder`/video.onnx and `folder`/audio.onnx. Raises InputError as `load` does."""
    network = load(file)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(video_graph(network), folder / "video.onnx")
    onnx.save(audio_graph(network), folder / "audio.onnx")


def video_graph(network: V2) -> onnx.ModelProto:
    """The video stream as ONNX: `faces` (N, 15, 224, 224) float32 to `embedding` (N, 1024).

    Channel 5 c + t is colour c (B, G, R) of frame t. The first layer sees all five frames at once and no later one
    looks across time, so the three-dimensional layers are plain two-dimensional ones; batch norms are folded in.
    """
    return _graph("faces", [3 * FRAMES, FACE, FACE], [*network.netcnnlip, nn.Flatten(), *network.netfclip])


def audio_graph(network: V2) -> onnx.ModelProto:
    """The audio stream as ONNX: `columns` (N, 1, 13, 20) float32 to `embedding` (N, 1024); batch norms folded in."""
    return _graph("columns", [1, 13, 20], [*network.netcnnaud, nn.Flatten(), *network.netfcaud])


def _graph(name: str, shape: list[int], layers: list[nn.Module]) -> onnx.ModelProto:
    """Write the layers down one by one, so that the same weights always give the same bytes."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    flow = name

    def add(op: str, tensors: list[NDArray[np.float32]], **attributes: int | list[int]) -> None:
        nonlocal flow
        names = [f"{op}{len(nodes)}_{k}" for k in range(len(tensors))]
        weights.extend(numpy_helper.from_array(t, n) for t, n in zip(tensors, names, strict=True))
        last = len(nodes) + 1 == wanted
        out = "embedding" if last else f"{op}{len(nodes)}"
        nodes.append(helper.make_node(op, [flow, *names], [out], **attributes))  # type: ignore[arg-type]
        flow = out

    wanted = sum(not isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) for layer in layers)
    for layer, after in zip(layers, [*layers[1:], nn.Identity()], strict=True):
        match layer:
            case nn.Conv2d() | nn.Conv3d():
                kernel, bias = _folded(layer, after)
                flat = kernel.reshape(kernel.shape[0], -1, *kernel.shape[-2:])  # time joins the channels
                pads, steps = [int(p) for p in layer.padding][-2:], list(layer.stride)[-2:]
                add("Conv", [flat, bias], kernel_shape=list(flat.shape[2:]), pads=pads * 2, strides=steps)
            case nn.Linear():
                matrix, bias = _folded(layer, after)
                add("Gemm", [matrix, bias], transB=1)
            case nn.MaxPool2d() | nn.MaxPool3d():
                size, steps, pads = (_pair(v) for v in (layer.kernel_size, layer.stride, layer.padding))
                add("MaxPool", [], kernel_shape=size, strides=steps, pads=pads * 2)
            case nn.ReLU():
                add("Relu", [])
            case nn.Flatten():
                add("Flatten", [], axis=1)
            case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.BatchNorm3d():
                pass  # folded into the layer before
            case _:
                raise TypeError(f"no ONNX for {layer}")
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", EMBEDDING])]
    graph = helper.make_graph(nodes, f"v2_{name}", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="syncnet")
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def _pair(value: object) -> list[int]:
    """The two sizes in the plane of a pooling layer's setting: 3 -> [3, 3], (1, 3, 3) -> [3, 3]."""
    return [int(v) for v in value][-2:] if isinstance(value, tuple) else [int(value)] * 2  # type: ignore[call-overload]


def _folded(
    layer: nn.Conv2d | nn.Conv3d | nn.Linear, after: nn.Module
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a layer, with the batch norm behind it (if any) multiplied in, in double precision."""
    assert layer.bias is not None
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
    if isinstance(after, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        assert after.running_var is not None and after.running_mean is not None
        gain = after.weight.detach().double() / torch.sqrt(after.running_var.double() + after.eps)
        weight = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
        bias = (bias - after.running_mean.double()) * gain + after.bias.detach().double()
    return weight.float().numpy(), bias.float().numpy()

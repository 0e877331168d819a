"""What is done to an ONNX file after it is written: texts put in, weights halved, trunks turned to int8."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def add_texts(path: Path, texts: Mapping[str, str]) -> None:
    """Make `texts` the metadata of the file."""
    import onnx

    model = onnx.load(str(path))
    del model.metadata_props[:]
    for key, value in texts.items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name = "syncnet"
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def halve(path: Path) -> None:
    """Store the weights of a graph as float16, each followed by a cast that the runtime does once, when it loads."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    casts = []
    for weight in [w for w in graph.initializer if w.data_type == TensorProto.FLOAT and len(w.dims) > 1]:
        stored = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{weight.name}.half")
        casts.append(helper.make_node("Cast", [stored.name], [weight.name], to=TensorProto.FLOAT))
        graph.initializer.remove(weight)
        graph.initializer.append(stored)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(path))


def quantise(path: Path, source: str, inputs: Sequence[NDArray[np.float32]]) -> None:
    """Static int8 with scales measured on `inputs`, weights per channel; replaces the file."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[NDArray[np.float32]] = iter(inputs)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            value = next(self.left, None)
            return None if value is None else {source: np.ascontiguousarray(value[None], np.float32)}

    ready, done = path.with_suffix(".ready.onnx"), path.with_suffix(".int8.onnx")
    quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
    quantize_static(str(ready), str(done), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    op_types_to_quantize=["Conv", "MaxPool", "Concat"])
    os.replace(done, path)
    ready.unlink()

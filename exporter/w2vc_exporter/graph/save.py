"""Graphs and their weights to files, and out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir
import torch

from w2vc_model import SpeechModel

FILE_NAMES = {precision: f"model_{precision}.onnx" for precision in ("fp16", "bf16", "int8")} | {"fp32": "model.onnx"}
# Past this the weights go to a file of their own beside the graph: protobuf stops at 2 GB, and holds them several times
# in memory before that.
EXTERNAL_DATA_BYTES = 500_000_000
# Fields of onnx.proto: of a model its graph, of a graph its weights, of a weight its values.
GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
# The sort of field that says how long it is; the bits of a number that go into one byte.
SIZED, BITS = 2, 7


def release(model: ir.Model) -> None:
    """Let go of the weights of a graph that is written: its nodes and values refer to each other and live on."""
    for value in model.graph.initializers.values():
        value.const_value = None


def write(model: ir.Model, path: Path) -> None:
    """Write a graph and beside it its weights, and let go of them."""
    ir.save(model, path, external_data=f"{path.name}.data")
    release(model)


def write_whole(model: ir.Model, path: Path) -> list[onnx.TensorProto]:
    """Write a graph with its weights into one file, one weight after another: never are two of them in memory.

    The file is what ``onnx.save`` would write, but for the order of its fields: the graph is last, and its weights are
    the last of the graph. Returns the weights as external data, which lie in that file.
    """
    weights = [value.const_value for value in model.graph.initializers.values() if value.const_value is not None]
    proto = without_weights(model)
    graph = proto.graph.SerializeToString(deterministic=True)
    proto.ClearField("graph")
    headers = [_header(weight) for weight in weights]
    size = len(graph) + sum(map(len, headers)) + sum(weight.nbytes for weight in weights)
    places = []
    with path.open("wb") as stream:
        stream.write(proto.SerializeToString(deterministic=True) + _sized(GRAPH, size) + graph)
        for header, weight in zip(headers, weights):
            stream.write(header)
            places.append(_external(weight, path.name, stream.tell()))
            stream.write(weight.tobytes())
    return places


def without_weights(model: ir.Model) -> onnx.ModelProto:
    """A graph whose weights are missing."""
    weights = dict(model.graph.initializers)
    model.graph.initializers.clear()
    proto = ir.to_proto(model)
    model.graph.initializers.update(weights)
    return proto


def _described(weight: ir.TensorProtocol) -> onnx.TensorProto:
    """A weight without its values."""
    return onnx.TensorProto(name=weight.name, dims=weight.shape.numpy(), data_type=int(weight.dtype))


def _external(weight: ir.TensorProtocol, file: str, offset: int) -> onnx.TensorProto:
    """A weight that lies in a file."""
    proto = _described(weight)
    proto.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": file, "offset": offset, "length": weight.nbytes}.items():
        proto.external_data.add(key=key, value=str(value))
    return proto


def _header(weight: ir.TensorProtocol) -> bytes:
    """What stands in front of the values of a weight."""
    proto = _described(weight)
    said = proto.SerializeToString(deterministic=True) + _sized(RAW_DATA, weight.nbytes)
    return _sized(INITIALIZER, len(said) + weight.nbytes) + said


def _sized(field: int, size: int) -> bytes:
    """The start of a field of some bytes."""
    return bytes((field << 3 | SIZED, *_varint(size)))


def _varint(number: int) -> Iterator[int]:
    """A number in groups of seven bits, the lowest first; all but the last have their top bit set."""
    while number >> BITS:
        yield number & 0x7F | 0x80
        number >>= BITS
    yield number


@dataclass(frozen=True)
class Saved:
    """A graph that is written. files: the graph first, then its external data. weights: where each lies."""

    files: tuple[str, ...]
    weights: list[onnx.TensorProto]


def save_graph(model: ir.Model, directory: Path, precision: str) -> Saved:
    """Write a graph as it is published."""
    name = FILE_NAMES[precision]
    for node in model.graph:
        for value in node.outputs:
            if not value.is_graph_output():  # what every consumer infers for itself
                value.shape = value.type = None
    for stale in (directory / name, directory / f"{name}.data"):
        stale.unlink(missing_ok=True)  # of an attempt that missed its budget
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    if size < EXTERNAL_DATA_BYTES:
        return Saved((name,), write_whole(model, directory / name))
    ir.save(model, directory / name, external_data=f"{name}.data")
    written = onnx.load(directory / name, load_external_data=False)
    return Saved((name, f"{name}.data"), list(written.graph.initializer))


def drop_weights(model: SpeechModel) -> None:
    """Let go of the weights of a PyTorch model that is done with."""
    for parameter in model.parameters():
        parameter.data = torch.empty(0)

"""Graphs and their weights to files, and out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
import torch

from w2vc_model import SpeechModel

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


def write_whole(model: ir.Model, path: Path) -> None:
    """Write a graph with its weights into one file, one weight after another: never are two of them in memory.

    The file is what ``onnx.save`` would write, but for the order of its fields: the graph is last, and its weights are
    the last of the graph.
    """
    weights = [value.const_value for value in model.graph.initializers.values() if value.const_value is not None]
    kept = dict(model.graph.initializers)
    model.graph.initializers.clear()
    proto = ir.to_proto(model)
    model.graph.initializers.update(kept)
    graph = proto.graph.SerializeToString(deterministic=True)
    proto.ClearField("graph")
    headers = [_header(weight) for weight in weights]
    size = len(graph) + sum(map(len, headers)) + sum(weight.nbytes for weight in weights)
    with path.open("wb") as stream:
        stream.write(proto.SerializeToString(deterministic=True) + _sized(GRAPH, size) + graph)
        for header, weight in zip(headers, weights):
            stream.write(header)
            stream.write(weight.tobytes())


def _header(weight: ir.TensorProtocol) -> bytes:
    """What stands in front of the values of a weight."""
    proto = onnx.TensorProto(name=weight.name, dims=weight.shape.numpy(), data_type=int(weight.dtype))
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


def drop_weights(model: SpeechModel) -> None:
    """Let go of the weights of a PyTorch model that is done with."""
    for parameter in model.parameters():
        parameter.data = torch.empty(0)

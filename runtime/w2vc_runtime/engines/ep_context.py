"""An ONNX file that wraps an engine, for programs that run ONNX Runtime by themselves.

It has one node, ``EPContext`` of domain ``com.microsoft``, that names the plan beside it. Source: ONNX Runtime,
docs/execution-providers/EP-Context-Design. The file is written without the package onnx, which devices do not have; the
numbers are those of the fields in onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from w2vc_runtime.bundle import LEAST_CAPABILITY, Engine, Manifest, Tensor

# The execution provider of ONNX Runtime that runs the engines of each backend.
SOURCES = {"tensorrt-rtx": "NvTensorRTRTXExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
DOMAIN = "com.microsoft"
IR_VERSION = 10
TYPES = {"float32": 1, "int64": 7, "bool": 9}
INT, STRING = 2, 3


def write_ep_context(path: Path, manifest: Manifest, engine: Engine, opset: int) -> None:
    """Write the file that wraps an engine; ``path`` is in the directory of the plan. opset: of the engine's graph."""
    attributes = [
        _text("hardware_architecture", _architecture(engine)),
        _integer("embed_mode", 0),
        _text("ep_cache_context", Path(engine.file).name),
        _text("ep_sdk_version", engine.version),
        _integer("main_context", 1),
        _text("onnx_model_filename", next(iter(engine.graph))),
        _text("partition_name", Path(engine.file).stem),
        _text("source", SOURCES[engine.backend]),
    ]
    node = _join(
        (_field(1, tensor.name) for tensor in manifest.inputs),
        (_field(2, tensor.name) for tensor in manifest.outputs),
        [_field(3, Path(engine.file).stem), _field(4, "EPContext")],
        (_field(5, attribute) for attribute in attributes),
        [_field(7, DOMAIN)],
    )
    graph = _join(
        [_field(1, node), _field(2, manifest.name)],
        (_field(11, _value(tensor)) for tensor in manifest.inputs),
        (_field(12, _value(tensor)) for tensor in manifest.outputs),
    )
    opsets = [_field(2, opset), _field(1, DOMAIN) + _field(2, 1)]
    model = _join(
        [_field(1, IR_VERSION), _field(2, "w2vc"), _field(7, graph)], (_field(8, imported) for imported in opsets)
    )
    path.write_bytes(model)


def _architecture(engine: Engine) -> str:
    """GPUs as ONNX Runtime compares them, with a warning where they differ."""
    return ",".join(target.removeprefix("sm") for target in engine.targets) or f"{LEAST_CAPABILITY}+"


def _value(tensor: Tensor) -> bytes:
    """A ValueInfoProto."""
    sizes = (_field(2, size) if isinstance(size, str) else _field(1, size) for size in tensor.shape)
    shape = _join(_field(1, size) for size in sizes)
    return _field(1, tensor.name) + _field(2, _field(1, _field(1, TYPES[tensor.dtype]) + _field(2, shape)))


def _integer(name: str, value: int) -> bytes:
    """An AttributeProto."""
    return _field(1, name) + _field(3, value) + _field(20, INT)


def _text(name: str, value: str) -> bytes:
    """An AttributeProto."""
    return _field(1, name) + _field(4, value) + _field(20, STRING)


def _join(*parts: Iterable[bytes]) -> bytes:
    return b"".join(b"".join(part) for part in parts)


def _field(number: int, value: int | str | bytes) -> bytes:
    """A field of a message: a number, or a length and that many bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    if value < 0x80:
        return bytes([value])
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7)

"""Archives and graphs under right hashes: ``verification.npz`` and ``.onnx`` files that lie, or lead outside."""

from __future__ import annotations

import io
import pickle
import shutil
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from support.hostile import harness
from support.hostile.harness import Attempt, Bundle

COUNT = 106
ARCHIVE, GRAPH = "verification.npz", "model.onnx"
MEMORY = "*/_ORT_MEM_ADDR_/*"  # where ONNX Runtime has the data of tensors that are in memory
Arrays = dict[str, Any]


def npy(array: Any, header: bytes | None = None, version: bytes = b"\x01\x00") -> bytes:
    """A member of an archive, with another header."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), allow_pickle=True)
    content = stream.getvalue()
    if header is None:
        return content
    start = 10 + int.from_bytes(content[8:10], "little")
    return content[:6] + version + struct.pack("<H", len(header)) + header + content[start:]


def header(descr: str = "'<f4'", order: str = "False", shape: str = "(1,)") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


def zipped(members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


def archives(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Files in place of ``verification.npz``, which is ``good``."""
    with np.load(io.BytesIO(good)) as file:
        arrays: Arrays = {name: file[name] for name in file.files}

    def packed(other: dict[str, bytes], without: Sequence[str] = ()) -> bytes:
        members = {name: npy(value) for name, value in arrays.items() if name not in without}
        return zipped([(f"{name}.npy", content) for name, content in {**members, **other}.items()])

    values, frames, best = arrays["logits.values"], arrays["logits.frames"], arrays["logits.best"]
    for name in arrays:
        yield f"without {name}", packed({}, [name])
        yield f"{name} pickled", packed({name: npy(np.array([{"a": 1}], dtype=object))})
    for number in (np.nan, np.inf):
        changed = values.copy()
        changed[3, 5] = number
        yield f"a value is {number}", packed({"logits.values": npy(changed)})
        yield f"all values are {number}", packed({"logits.values": npy(np.full_like(values, number))})
        yield f"largest is {number}", packed({"logits.largest": npy(np.full_like(arrays["logits.largest"], number))})
    yield "largest below 0", packed({"logits.largest": npy(-arrays["logits.largest"])})
    for name, claimed in {
        "huge": "(1000000000000,)", "huger": f"({10**12}, {10**12})", "negative": "(-1,)", "text": "'a'",
        "nested": "(" * 5000 + ")" * 5000, "signs": f"({'-' * 5000}1,)", "code": "(__import__('os').getpid(),)",
        "digits": f"({'9' * 5000},)", "none": "()",
    }.items():  # fmt: skip
        yield f"shape {name}", packed({"logits.values": npy(values, header(shape=claimed))})
    for name, descr in {
        "object": "'|O'", "record": "[('a', '<f4')]", "void": "'|V0'", "text of nothing": "'<U0'", "time": "'<M8[s]'",
        "big": "'>f4'", "huge text": "'<U2147483647'",
    }.items():  # fmt: skip
        yield f"type {name}", packed({"logits.values": npy(values, header(descr))})
    yield "version 2", packed({"logits.values": npy(values, version=b"\x02\x00", header=header())})
    yield "header of Python 2", packed({"rows": npy(arrays["rows"], header("'<i8'", shape="(1L,)"))})
    yield "frames below 0", packed({"logits.frames": npy(-frames)})
    yield "frames of 2^31 - 1", packed({"logits.frames": npy(np.full_like(frames, 2**31 - 1))})
    yield "frames of one clip more", packed({"logits.frames": npy(np.append(frames, frames[:1]))})
    yield "best below 0", packed({"logits.best": npy(best - 1)})
    yield "best past the channels", packed({"logits.best": npy(best + 32)})
    yield "rows of 0", packed({"rows": npy(np.array(0))})
    yield "rows of 2^62", packed({"rows": npy(np.array(2**62))})
    yield "chosen of another", packed({"chosen": npy(np.array("scores"))})
    yield "chosen past Unicode", packed({"chosen": npy(np.array("a"), header("'<U1'", shape="()"))[:-4] + b"\xff" * 4})
    yield "values of 0", packed({"logits.values": npy(0 * values)})
    yield "values of other frames", packed({"logits.values": npy(values[::-1].copy())})
    yield "more", packed({"more": npy(np.zeros(3))})
    yield "more outside", packed({"../../outside/a": npy(np.zeros(3))})
    members = [(f"{name}.npy", npy(value)) for name, value in arrays.items()]
    yield "compressed", zipped(members, zipfile.ZIP_DEFLATED)
    yield "bomb", zipped([*members, ("a.npy", bytes(50_000_000))], zipfile.ZIP_DEFLATED)
    yield "lzma", zipped(members, zipfile.ZIP_LZMA)
    yield "twice", good[: good.index(b"PK\x01\x02")] + good[good.index(b"PK\x01\x02") :] * 2
    yield "encrypted", good.replace(b"PK\x01\x02\x2d\x03\x2d\x00\x00\x00", b"PK\x01\x02\x2d\x03\x2d\x00\x01\x00")
    yield "no archive", b"a" * 1000
    yield "pickle", pickle.dumps(arrays)
    yield "one array", npy(values)
    yield "half", good[: len(good) // 2]
    yield "end alone", good[-22:]
    yield "nothing", b""
    yield "deflated by itself", zlib.compress(good)


def graphs(good: bytes, model: Path) -> Iterator[tuple[str, bytes]]:
    """Files in place of ``model.onnx``, which is ``good``. model: the same file outside the bundle."""

    def changed(change: Callable[[onnx.ModelProto], Any]) -> bytes:
        graph = onnx.load_from_string(good)
        change(graph)
        return graph.SerializeToString()

    def external(name: str, length: int | None = None) -> TensorProto:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=name)
        for key, number in (("offset", "0"), ("length", str(length or 16))):
            tensor.external_data.add(key=key, value=number)
        return tensor

    def first(graph: onnx.ModelProto, tensor: TensorProto) -> None:
        """In place of weights that matter."""
        tensor.name, tensor.dims[:] = graph.graph.initializer[0].name, graph.graph.initializer[0].dims
        graph.graph.initializer[0].CopyFrom(tensor)

    names = ("../outside/model.onnx", str(model), "manifest.json", "model.onnx", "/dev/zero", MEMORY, "a/../../x", "")
    for name in names:
        yield f"weights in {name}", changed(lambda graph, name=name: first(graph, external(name)))
    outside = external("../outside/model.onnx")
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "b", [], [], [outside])
    holders = {
        "an attribute": helper.make_node("Constant", [], ["extra"], value=outside),
        "a branch": helper.make_node("If", ["c"], ["extra"], then_branch=branch, else_branch=branch),
        "tensors": helper.make_node("Scan", [], ["extra"], body=branch, a=[outside]),
    }
    for name, node in holders.items():
        yield f"weights in {name}", changed(lambda graph, node=node: graph.graph.node.insert(0, node))
    function = helper.make_function("d", "f", [], ["extra"], [holders["an attribute"]], [helper.make_opsetid("", 20)])
    yield "weights in a function", changed(lambda graph: graph.functions.append(function))
    sparse = onnx.SparseTensorProto(values=outside, indices=outside, dims=[4])
    yield "weights that are sparse", changed(lambda graph: graph.graph.sparse_initializer.append(sparse))
    training = onnx.TrainingInfoProto(initialization=branch)
    yield "weights for training", changed(lambda graph: graph.training_info.append(training))
    for name in ("../outside/model.onnx", str(model)):
        context = helper.make_node(
            "EPContext", [], ["extra"], domain="com.microsoft", embed_mode=0, ep_cache_context=name
        )
        yield f"plan {name}", changed(lambda graph, context=context: graph.graph.node.append(context))

    def output(graph: onnx.ModelProto, operator: str, **attributes: Any) -> None:
        node = helper.make_node(operator, ["inner"], [graph.graph.output[0].name], **attributes)
        last = next(n for n in reversed(graph.graph.node) if graph.graph.output[0].name in n.output)
        last.output[0] = "inner"
        graph.graph.node.append(node)
        del graph.graph.output[0].type.tensor_type.shape.dim[:]
        graph.graph.output[0].type.tensor_type.ClearField("shape")
        kind = attributes.get("to")
        graph.graph.output[0].type.tensor_type.elem_type = kind or TensorProto.FLOAT

    yield "text for scores", changed(lambda graph: output(graph, "Cast", to=TensorProto.STRING))
    yield "halves for scores", changed(lambda graph: output(graph, "Cast", to=TensorProto.FLOAT16))
    yield "one number for scores", changed(lambda graph: output(graph, "ReduceSum", keepdims=0))
    yield "rows for scores", changed(lambda graph: output(graph, "Flatten", axis=1))
    yield "frames last", changed(lambda graph: output(graph, "Transpose", perm=[0, 2, 1]))
    yield "no output", changed(lambda graph: graph.graph.ClearField("output"))
    yield "no input", changed(lambda graph: graph.graph.ClearField("input"))
    yield "no node", changed(lambda graph: graph.graph.ClearField("node"))
    yield "no graph", changed(lambda graph: graph.ClearField("graph"))
    yield "no version", changed(lambda graph: graph.ClearField("ir_version"))
    yield "a version to come", changed(lambda graph: setattr(graph, "ir_version", 2**40))
    yield "an opset to come", changed(lambda graph: setattr(graph.opset_import[0], "version", 2**40))
    for number in (np.nan, np.inf):

        def poison(graph: onnx.ModelProto, number: float = number) -> None:
            for tensor in graph.graph.initializer:
                if tensor.name == "lm_head.bias":
                    tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(32, number, np.float32), tensor.name))

        yield f"weights of {number}", changed(poison)
    yield "huge dimensions", changed(lambda graph: graph.graph.initializer[0].dims.append(2**40))
    yield "a tensor below 0", changed(lambda graph: graph.graph.initializer[0].dims.append(-1))
    nested = b""
    for _ in range(3000):
        nested = b"\x0a" + _varint(len(nested) + 20) + b"\x2a" + _varint(len(nested) + 4) + b"\x32\x02\x0a\x00" + nested
    yield "nesting", b"\x08\x0a\x3a" + _varint(len(nested)) + nested
    yield "a number without an end", b"\x08" + b"\xff" * 1000
    yield "a group", good + b"\xa3\x06" * 10
    yield "a length past the end", b"\x08\x0a\x3a\xff\xff\xff\x7f"
    yield "nothing", b""
    yield "text", b"no graph"
    yield "half", good[: len(good) // 2]
    yield "a model of OpenVINO", b'<?xml version="1.0"?><net name="a" version="11"><layers></layers></net>'
    yield "a model of ONNX Runtime", b"\x18\x00\x00\x00ORTM" + bytes(100)
    yield "an archive", zipped([("a", b"a")])


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)


def inputs(bundle: Bundle) -> list[tuple[str, str, bytes]]:
    """Name of each input, the file, and its content."""
    archive, graph = ((bundle.path / name).read_bytes() for name in (ARCHIVE, GRAPH))
    made = [(ARCHIVE, *each) for each in archives(archive)]
    made += [(GRAPH, *each) for each in graphs(graph, bundle.outside / GRAPH)]
    return [(f"{file}: {title}", file, content) for file, title, content in made]


def attempts(
    bundles: Sequence[Bundle], folder: Path, step: int = 1
) -> Iterator[tuple[str, Sequence[Attempt], str | None]]:
    """What comes of them; of one in ``step``."""
    bundle = bundles[0]
    made = bundle.copy(folder / "made")
    for title, file, content in inputs(bundle)[::step]:
        (made.path / file).write_bytes(content)
        harness.sign(made.path)
        done = made.attempts()
        yield title, done, None if done[2].code else "is verified"
        shutil.copyfile(bundle.path / file, made.path / file)


def main(arguments: Sequence[str]) -> int:
    with harness.exported(arguments) as (bundles, folder):
        return harness.tally("archives and graphs", attempts(bundles, folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Files of weights as a damaged disk or somebody hostile has them: headers, types, shapes, names, pickles."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file

DEEP = "[" * 100_000 + "]" * 100_000
DIGITS = "9" * 5_000


class Case(NamedTuple):
    """A checkpoint of its kind, and what is done to its folder; what that returns is read in the folder's stead."""

    name: str
    kind: str
    change: Callable[[Path], Path | None]


def tensors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Other tensors, as safetensors."""

    def apply(folder: Path) -> None:
        path = folder / "model.safetensors"
        values = load_file(path)
        change(values)
        save_file(values, path)

    return apply


def pickled(make: Callable[[dict[str, Any]], Any], zipped: bool = True) -> Callable[[Path], None]:
    """What is made of the tensors, as torch pickles it."""

    def apply(folder: Path) -> None:
        path = folder / "model.safetensors"
        torch.save(make(load_file(path)), folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
        path.unlink()

    return apply


def raw(change: Callable[[bytes], bytes], suffix: str = ".safetensors") -> Callable[[Path], None]:
    """Other bytes in the file."""

    def apply(folder: Path) -> None:
        name = "model.safetensors"
        if suffix == ".bin":
            pickled(dict)(folder)
            name = "pytorch_model.bin"
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return apply


def header(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Another header in front of the same tensors."""

    def rewrite(data: bytes) -> bytes:
        length = struct.unpack("<Q", data[:8])[0]
        values = json.loads(data[8 : 8 + length])
        text = change(values)
        text = (text if isinstance(text, str) else json.dumps(values)).encode("utf-8", "surrogatepass")
        return struct.pack("<Q", len(text)) + text + data[8 + length :]

    return raw(rewrite)


def stream(*opcodes: bytes) -> Callable[[Path], None]:
    """A pickle of these bytes where torch has its own."""

    def apply(folder: Path) -> None:
        pickled(dict)(folder)
        path = folder / "pytorch_model.bin"
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, b"".join(opcodes) if name.endswith("/data.pkl") else data)

    return apply


class Runs:
    """Would run a command where a pickle is executed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo executed",)


def claim(**values: Any) -> Callable[[dict[str, Any]], None]:
    """What a header says of one tensor."""
    return lambda entries: entries["lm_head.bias"].update(values)


def weights() -> Iterator[Case]:
    """Both formats of weights: damaged, of other types, shapes, names and structures."""
    bias = "lm_head.bias"
    for kind in ("int8", "int16", "int32", "int64", "uint8", "bool", "complex64", "float8_e4m3fn", "float8_e5m2"):
        dtype = getattr(torch, kind)
        yield Case(f"safetensors {kind}", "ctc", tensors(lambda t, d=dtype: t.update({bias: t[bias].to(d)})))
        yield Case(f".bin {kind}", "ctc", pickled(lambda t, d=dtype: t | {bias: t[bias].to(d)}))
        yield Case(f"all {kind}", "ctc", pickled(lambda t, d=dtype: {name: v.to(d) for name, v in t.items()}))
    for kind in ("float16", "bfloat16", "float64"):
        dtype = getattr(torch, kind)
        yield Case(f"all {kind}", "ctc", pickled(lambda t, d=dtype: {name: v.to(d) for name, v in t.items()}))
    for name in ("", "x" * 100_000, "a\nb", "\x1b[31m", "lm_head.x", "\u2028", "wav2vec2.encoder.layers.99999999.a"):
        yield Case(f"a tensor {name[:20]!r}", "ctc", tensors(lambda t, n=name: t.update({n: torch.zeros(2)})))
        yield Case(f".bin, {name[:20]!r}", "ctc", pickled(lambda t, n=name: t | {n: torch.zeros(2)}))
    for shape in ((), (0,), (7,), (32, 1), (1, 32, 1)):
        yield Case(f"bias {list(shape)}", "ctc", tensors(lambda t, s=shape: t.update({bias: torch.zeros(s)})))
        yield Case(
            f"weight norm {list(shape)}",
            "ctc",
            tensors(lambda t, s=shape: t.update({n: torch.zeros(s) for n in t if "pos_conv_embed.conv" in n})),
        )
        yield Case(
            f"classifier {list(shape)}",
            "words",
            tensors(lambda t, s=shape: t.update({"classifier.bias": torch.zeros(s)})),
        )
    yield Case("no tensors", "ctc", tensors(dict.clear))
    yield Case("no head", "ctc", tensors(lambda t: [t.pop(name) for name in list(t) if "lm_head" in name]))
    yield Case("no layers", "ctc", tensors(lambda t: [t.pop(name) for name in list(t) if ".layers." in name]))
    yield Case("many more", "ctc", tensors(lambda t: t.update({f"more.{i}": torch.zeros(1) for i in range(5000)})))
    for suffix in (".safetensors", ".bin"):
        for share in (0.0, 0.001, 0.3, 0.7, 0.999):
            yield Case(f"{share} of {suffix}", "ctc", raw(lambda d, s=share: d[: int(len(d) * s)], suffix))
        for name, data in {"zeros": bytes(1000), "ones": b"\xff" * 1000, "text": b"hello\n", "JSON": b"{}"}.items():
            yield Case(f"{suffix} of {name}", "ctc", raw(lambda d, data=data: data, suffix))
        yield Case(f"more behind {suffix}", "ctc", raw(lambda d: d + bytes(1000), suffix))
        for place in (9, 40, 200, 5000):
            flipped = lambda d, at=place: d[:at] + bytes([d[at] ^ 255]) + d[at + 1 :]  # noqa: E731
            yield Case(f"byte {place} of {suffix}", "ctc", raw(flipped, suffix))
    for length in (0, 1, 2**31, 2**63, 2**64 - 1):
        yield Case(f"header of {length}", "ctc", raw(lambda d, n=length: struct.pack("<Q", n) + d[8:]))
    for name, change in {
        "dtype": claim(dtype="Q4"), "no dtype": claim(dtype=None), "past the end": claim(data_offsets=[0, 10**12]),
        "offsets turned": claim(data_offsets=[128, 0]), "negative": claim(data_offsets=[-128, 0]),
        "shape of 2^64": claim(shape=[2**32, 2**32]), "shape of 10^30": claim(shape=[10**30]),
        "shape text": claim(shape="32"), "not an object": lambda entries: entries.update({bias: 5}),
        "metadata": lambda entries: entries.update(__metadata__=[1]), "deep": lambda entries: DEEP,
        "digits": lambda entries: f'{{"a": {DIGITS}}}', "half a character": lambda entries: '{"\ud800": 1}',
        "twice": lambda entries: json.dumps(entries)[:-1] + ', "lm_head.bias": {}}', "list": lambda entries: "[]",
    }.items():  # fmt: skip
        yield Case(f"header: {name}", "ctc", header(change))


def pickles() -> Iterator[Case]:
    """What a pickle may hold beside tensors by name."""
    first = torch.zeros(32)
    for key in (7, None, b"a", 1.5, True, (1, 2)):
        yield Case(f"key {key!r}", "ctc", pickled(lambda t, k=key: t | {k: first}))
        yield Case(f"key {key!r} before 1.6", "ctc", pickled(lambda t, k=key: t | {k: first}, zipped=False))
    for value in (5, None, "text", [1], {"a": first}, (first,)):
        yield Case(f"value {str(value)[:9]}", "ctc", pickled(lambda t, v=value: t | {"lm_head.bias": v}))
    for name, make in {
        "list": lambda t: list(t.values()), "tensor": lambda t: first, "text": lambda t: "text", "None": lambda t: None,
        "nested": lambda t: {"state_dict": t}, "empty": lambda t: {}, "runs": lambda t: t | {"a": Runs()},
        "fairseq": lambda t: {"args": None, "cfg": {"model": "wav2vec2"}, "model": t, "task_state": {}},
        "meta": lambda t: t | {"lm_head.bias": torch.zeros(32, device="meta")},
        "sparse": lambda t: t | {"lm_head.bias": torch.zeros(32).to_sparse()},
        "stretched": lambda t: t | {"lm_head.bias": torch.zeros(1).expand(32)},
        "stretched far": lambda t: t | {"lm_head.weight": torch.zeros(1, dtype=torch.half).expand(10**6, 10**6)},
        "turned": lambda t: t | {"lm_head.weight": t["lm_head.weight"].t().contiguous().t()},
        "parameters": lambda t: {key: torch.nn.Parameter(value) for key, value in t.items()},
    }.items():  # fmt: skip
        for zipped in (True, False):
            yield Case(f"pickle: {name}{'' if zipped else ' before 1.6'}", "ctc", pickled(make, zipped))
    for name, opcodes in {
        "nothing": (b"",), "stop": (b".",), "deep": (b"\x80\x02", b"(" * 100_000, b"N", b"t" * 100_000, b"."),
        "long": (b"\x80\x02\x8b\x10\x27\x00\x00", b"\x7f" * 10_000, b"."), "digits": (b"I", DIGITS.encode(), b"\n."),
        "recursion": (b"\x80\x02]q\x00h\x00a.",), "no protocol": (b"\x80\xff.",), "runs": (pickle.dumps(Runs()),),
        "eval": (b"cbuiltins\neval\n(V1\ntR.",), "persistent": (b"\x80\x02Vx\nQ.",), "unknown": (b"\x80\x02\xfe.",),
        "memo": (b"\x80\x02h\x05.",), "8 GB of text": (b"\x80\x04\x8d", struct.pack("<Q", 2**33), b"x."),
    }.items():  # fmt: skip
        yield Case(f"opcodes: {name}", "ctc", stream(*opcodes))

"""The files that hold a checkpoint's tensors: which they are, what is in them, and what a file is that is none."""

from __future__ import annotations

import io
import pickletools
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .documents import inside, read_object
from .errors import CheckpointError, listed, name_of

COUNTERS = ".num_batches_tracked"
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
TYPES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float64: "float64"}
# What torch writes at the start of a file that is no zip archive (before 1.6), behind the pickle's own first bytes.
TORCH_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
# As much of a pickle as is looked through for the names in it.
LOOKED_THROUGH = 4 << 20
FAIRSEQ = (
    "is a fairseq checkpoint; convert it with convert_wav2vec2_original_pytorch_checkpoint_to_pytorch.py "
    "from the repository of transformers, and give the directory that this writes"
)


def weight_files(directory: Path) -> list[Path]:
    """The files that hold the weights, safetensors before pickles; sharded ones in the order of their names."""
    for name in WEIGHT_FILES:
        path = directory / name
        if not path.is_file():
            continue
        if not name.endswith(".index.json"):
            return [path]
        parts = read_object(path).get("weight_map")
        if not isinstance(parts, dict) or not parts:
            raise CheckpointError(f"{path} is not a valid index of weight shards; weight_map must name a file a tensor")
        files = {inside(directory, part, path) for part in {str(part): part for part in parts.values()}.values()}
        missing = [file.relative_to(directory).as_posix() for file in sorted(files) if not file.is_file()]
        if missing:
            raise CheckpointError(f"{directory} lacks weight files that {name} names: {listed(missing)}")
        return sorted(files)
    raise CheckpointError(f"{directory} has no weights; expected one of {', '.join(WEIGHT_FILES)}")


def read_tensors(files: Iterable[Path]) -> dict[str, Tensor]:
    """All tensors of some weight files under the names that they have there.

    Raises `CheckpointError` where a file is damaged, holds anything else, or tensors of another type than float32,
    float16, bfloat16 and float64 (counters aside).
    """
    tensors: dict[str, Tensor] = {}
    for path in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what torch has to say is for whoever wrote the file
                values = _read(path)
            _check(values)
        except CheckpointError as error:
            raise _refused(path, str(error)) from error
        except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, struct.error) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise _refused(path, f"is damaged or truncated ({name_of(reason)}); fetch it again") from error
        except Exception as error:  # pickle raises whatever a broken stream makes it raise
            raise _refused(path, f"cannot be read as weights ({type(error).__name__})") from error
        tensors.update(values)
    return tensors


def _refused(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{path} {FAIRSEQ if is_fairseq(path) else reason}")


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    # Files from before torch 1.6 are no zip archives and cannot be mapped. What is older still is a tar archive, which
    # torch would unpack.
    zipped = zipfile.is_zipfile(path)
    if not zipped and (TORCH_MAGIC not in _start(path, 32) or tarfile.is_tarfile(path)):
        raise CheckpointError("is not a file of weights that torch wrote whole; fetch it again")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)


def _start(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _check(values: object) -> None:
    """Raise `CheckpointError` unless these are tensors by name, dense, in memory and of a type that is read."""
    if not isinstance(values, dict):
        raise CheckpointError(f"must hold tensors by name, and holds a value of type {type(values).__name__}")
    others = []
    for name, tensor in values.items():
        if not isinstance(name, str):
            raise CheckpointError(f"must hold tensors by name, and has a name of type {type(name).__name__}")
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f"must hold tensors by name, and {name_of(name)} is of type {type(tensor).__name__}")
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise CheckpointError(f"has no values of {name_of(name)} that can be read; expected a dense tensor")
        # A pickle may give one value as a tensor of any size.
        if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise CheckpointError(f"holds less than {name_of(name)} {list(tensor.shape)}; expected all of its values")
        if tensor.dtype not in TYPES and not name.endswith(COUNTERS):
            others.append(f"{name} {str(tensor.dtype).removeprefix('torch.')}")
    if others:
        raise CheckpointError(
            f"holds weights of a type that is not read: {listed(others)}; supported: {', '.join(TYPES.values())}; "
            "give the checkpoint as it was before it was quantised"
        )


def what_is(path: Path) -> str:
    """What a file is that stands in for a checkpoint's directory, and what to give; nothing in it is executed."""
    if is_fairseq(path):
        return FAIRSEQ
    if path.suffix == ".safetensors" or _pickled(path) is not None:
        if (path.parent / "config.json").is_file():
            return f"holds weights alone; give the directory that it is in, {path.parent}"
        return "holds weights alone; give the directory that has them beside config.json"
    return "is not a directory; expected a Hugging Face checkpoint with config.json"


def is_fairseq(path: Path) -> bool:
    """Whether torch wrote the file, and a training of fairseq is in it: its settings beside the model."""
    texts = _pickled(path) or set()
    return "model" in texts and bool({"args", "cfg"} & texts)


def _pickled(path: Path) -> set[str] | None:
    """The texts at the start of the pickle in a file of torch's, read without executing it; None for other files."""
    texts = set()
    try:
        data = _pickle_of(path)
        while data is not None:  # before 1.6 a file was several pickles in a row
            for _, text, _ in pickletools.genops(data):
                if isinstance(text, str):
                    texts.add(text)
    except Exception:  # the end of what is looked through, or a broken stream, whatever that raises
        pass
    return texts or None


def _pickle_of(path: Path) -> io.BytesIO | None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("/data.pkl"):
                    with archive.open(name) as file:
                        return io.BytesIO(file.read(LOOKED_THROUGH))
        return None
    data = _start(path, LOOKED_THROUGH)
    return io.BytesIO(data) if TORCH_MAGIC in data[:32] else None

"""Write a bundle beside its final name and move it there, so that a crash leaves the old one or nothing."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx_ir as ir

from w2vc_runtime.manifest import file_entry

from .errors import ExportError

FILE_NAMES = {precision: f"model_{precision}.onnx" for precision in ("fp16", "bf16", "int8")} | {"fp32": "model.onnx"}
# Past this the weights go to a file of their own beside the graph: protobuf stops at 2 GB, and holds them several times
# in memory before that.
EXTERNAL_DATA_BYTES = 500_000_000


@contextlib.contextmanager
def staging(target: Path) -> Iterator[Path]:
    """An empty directory beside ``target`` that is gone at the end unless `publish` moved it.

    What a killed export leaves behind, ``.NAME.w2vc-XXXXXXXX``, is removed by the next export to that name.
    """
    if target.exists():
        raise ExportError(f"{target} exists; name another directory with -o or remove it")
    if not target.parent.is_dir():
        raise ExportError(f"{target.parent} is not a directory; the bundle {target.name} would be written there")
    directory = target.with_name(f".{target.name}.w2vc-{secrets.token_hex(4)}")
    with contextlib.ExitStack() as held:
        try:
            # One export at a time looks about, so that none removes what another has made and not yet locked.
            with _locked(target.parent, wait=True) as alone:
                if alone:
                    _remove_abandoned(target)
                directory.mkdir()
                held.enter_context(_locked(directory))
        except OSError as error:
            raise ExportError(f"cannot write in {target.parent}: {error.strerror}") from error
        try:
            yield directory
        except OSError as error:
            # numpy, which writes the weights, says how much it wrote and not why it stopped.
            reason = error.strerror or f"{error}; is the disk full?"
            raise ExportError(f"cannot write {target}: {reason}") from error
        finally:
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _locked(directory: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a directory's lock, which the system releases when the process dies; false where it is not to be had."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # another process has it, or the file system has no locks
        held = False
    else:
        held = True
    try:
        yield held
    finally:
        os.close(descriptor)


def _remove_abandoned(target: Path) -> None:
    for directory in target.parent.glob(f".{glob.escape(target.name)}.w2vc-????????"):
        with contextlib.suppress(OSError), _locked(directory) as abandoned:
            if abandoned:
                shutil.rmtree(directory, ignore_errors=True)


def publish(directory: Path, target: Path) -> None:
    """Move a complete directory to its final name."""
    try:
        os.rename(directory, target)
    except OSError as error:
        raise ExportError(f"cannot move the bundle to {target}: {error.strerror}") from error


def set_aside(directory: Path, target: Path) -> Path:
    """Move a directory that failed to ``TARGET.rejected``, in place of an earlier one; return that path."""
    rejected = target.with_name(f"{target.name}.rejected")
    shutil.rmtree(rejected, ignore_errors=True)
    publish(directory, rejected)
    return rejected


def save_graph(model: ir.Model, directory: Path, precision: str) -> tuple[str, ...]:
    """Write a graph; return its file names, the graph first, then its external data."""
    name = FILE_NAMES[precision]
    for node in model.graph:
        for value in node.outputs:
            if not value.is_graph_output():  # what every consumer infers for itself
                value.shape = value.type = None
    for stale in (directory / name, directory / f"{name}.data"):
        stale.unlink(missing_ok=True)  # of an attempt that missed its budget
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    if size < EXTERNAL_DATA_BYTES:
        ir.external_data.load_to_model(model)
        ir.save(model, directory / name)
        return (name,)
    ir.save(model, directory / name, external_data=f"{name}.data")
    return name, f"{name}.data"


def copy_files(checkpoint: Path, names: Iterable[str], directory: Path) -> None:
    """Copy those of the named files that the checkpoint has."""
    for name in names:
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, directory / name)


def source_hash(files: Iterable[Path]) -> str:
    """One sha256 over the names and hashes of a checkpoint's files."""
    lines = [f"{file_entry(path).sha256}  {path.name}\n" for path in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

"""Write a bundle beside its final name and move it there, so that a crash leaves the old one or nothing."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import fnmatch
import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx_ir as ir

from w2vc_runtime.bundle import FILE_NAME as MANIFEST
from w2vc_runtime.bundle import file_entry
from w2vc_runtime.decoding.language_model import DIRECTORY as MODEL_DIRECTORY
from w2vc_runtime.decoding.language_model import LANGUAGE_MODEL
from w2vc_runtime.documents.reader import DocumentError, read_document
from w2vc_runtime.engines.compiler import FOLDER as ENGINES
from w2vc_runtime.verify.again import PAGE, REPORT
from w2vc_runtime.verify.expectations import FILE_NAME as VERIFICATION

from .checkpoint.recipes import COPIED
from .errors import ExportError
from .graph.save import write_whole

FILE_NAMES = {precision: f"model_{precision}.onnx" for precision in ("fp16", "bf16", "int8")} | {"fp32": "model.onnx"}
# Past this the weights go to a file of their own beside the graph: protobuf stops at 2 GB, and holds them several times
# in memory before that.
EXTERNAL_DATA_BYTES = 500_000_000
REJECTED = ".rejected"
# What there can be in a bundle, of this and of earlier versions: `--force` replaces a directory of these and no other.
WRITTEN = (
    MANIFEST, f".{MANIFEST}.partial", REPORT, PAGE, VERIFICATION, "model*.onnx", "model*.onnx.data",
    f"{LANGUAGE_MODEL}/*", f"{LANGUAGE_MODEL}/{MODEL_DIRECTORY}/*", f"{ENGINES}/*.plan", f"{ENGINES}/*.onnx", *COPIED,
)  # fmt: skip
# Of Linux's renameat2(2).
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextlib.contextmanager
def staging(target: Path, force: bool = False) -> Iterator[Path]:
    """An empty directory beside ``target`` that is gone at the end unless `publish` moved it.

    force: whether a bundle that is there may be replaced. What a killed export leaves behind, ``.NAME.w2vc-XXXXXXXX``,
    is removed by the next export to that name. Raises `ExportError` where there can be no bundle of that name.
    """
    if target.name in ("", ".."):
        raise ExportError(f"{target} is no name for a bundle; name a directory with -o")
    directory = target.with_name(f".{target.name}.w2vc-{secrets.token_hex(4)}")
    with contextlib.ExitStack() as held:
        held.callback(shutil.rmtree, directory, ignore_errors=True)  # before it is made: a signal may come at any time
        try:
            if not target.parent.is_dir():
                raise ExportError(
                    f"{target.parent} is not a directory; the bundle {target.name} would be written there"
                )
            # One export at a time looks about, so that none removes what another has made and not yet locked.
            with _locked(target.parent, wait=True) as alone:
                _restore(target)
                if alone:
                    _remove_abandoned(target)
                _check_free(target, force)
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


def _check_free(target: Path, force: bool) -> None:
    """Raise `ExportError` where something is in the way that must not be replaced."""
    if os.path.lexists(target):
        if not force:
            raise ExportError(f"{target} exists; replace it with --force, or name another directory with -o")
        if fault := objection(target):
            raise ExportError(f"{target} {fault}; --force replaces bundles only, name another directory with -o")
    rejected = rejected_name(target)
    if os.path.lexists(rejected) and (fault := objection(rejected)):
        raise ExportError(f"{rejected} {fault}; a bundle that fails its verification would go there, so move it away")


@contextlib.contextmanager
def _locked(directory: Path, wait: bool = False) -> Iterator[bool | None]:
    """Hold a directory's lock, which the system releases when the process dies.

    Gives false where another process has it, and None where the file system has no locks.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        held: bool | None = True
    except OSError as error:
        held = False if isinstance(error, BlockingIOError) else None
    try:
        yield held
    finally:
        os.close(descriptor)


def _restore(target: Path) -> None:
    """Put back what was there, where an export was killed between the two renames of `_replace`."""
    older = _older_name(target)
    if older.is_dir() and not os.path.lexists(target):
        os.rename(older, target)


def _remove_abandoned(target: Path) -> None:
    shutil.rmtree(_older_name(target), ignore_errors=True)
    for directory in target.parent.glob(f".{glob.escape(target.name)}.w2vc-????????"):
        with contextlib.suppress(OSError), _locked(directory) as abandoned:
            if abandoned:
                shutil.rmtree(directory, ignore_errors=True)


def objection(path: Path) -> str | None:
    """Why what is at a path must not be replaced; None for a bundle, a rejected one, or an empty directory."""
    if path.is_symlink() or not path.is_dir():
        return "is not a directory"
    entries = sorted(path.iterdir())
    if entries and not _has_mark(path):
        return "is not a bundle"
    for folder in (path / ENGINES, path / LANGUAGE_MODEL, path / LANGUAGE_MODEL / MODEL_DIRECTORY):
        if folder in entries and folder.is_dir() and not folder.is_symlink():
            entries.remove(folder)
            entries += sorted(folder.iterdir())
    for entry in entries:
        name = entry.relative_to(path).as_posix()
        if not entry.is_file() or not any(fnmatch.fnmatchcase(name, pattern) for pattern in WRITTEN):
            return f"holds {name}, which no export writes"
    return None


def _has_mark(path: Path) -> bool:
    """Whether there is a manifest, or in a rejected bundle a report."""
    name, field = (REPORT, "precisions") if path.name.endswith(REJECTED) else (MANIFEST, "schema")
    try:
        values = read_document(path / name)
    except DocumentError:
        return False
    return isinstance(values, dict) and field in values


def publish(directory: Path, target: Path, force: bool = False) -> None:
    """Move a complete directory to its final name.

    force: in place of a bundle that is there, which `staging` then removes under the name that the new one had.
    """
    try:
        if not (force and os.path.lexists(target)):
            os.rename(directory, target)
            return
        with _locked(target.parent, wait=True), _locked(target) as alone:
            if alone is False:
                raise ExportError(f"{target} is being written by another process; wait until it is done")
            if fault := objection(target):  # it may have changed since `staging` looked
                raise ExportError(f"{target} {fault}; --force replaces bundles only, name another directory with -o")
            if not _exchange(directory, target):
                _replace(directory, target)
    except OSError as error:
        raise ExportError(f"cannot move the bundle to {target}: {error.strerror}") from error


def _exchange(directory: Path, target: Path) -> bool:
    """Swap two names in one step; false where the system or the file system has no such step."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if not renameat2(AT_FDCWD, os.fsencode(directory), AT_FDCWD, os.fsencode(target), RENAME_EXCHANGE):
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number))


def _replace(directory: Path, target: Path) -> None:
    """The same in two steps; who is killed between them leaves the older one to the next export to put back."""
    older = _older_name(target)
    os.rename(target, older)
    try:
        os.rename(directory, target)
    except OSError:
        os.rename(older, target)
        raise
    shutil.rmtree(older, ignore_errors=True)


def _older_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.w2vc-older")


def rejected_name(target: Path) -> Path:
    """Where a bundle goes that fails its verification."""
    return target.with_name(f"{target.name}{REJECTED}")


def set_aside(directory: Path, target: Path) -> Path:
    """Move a directory that failed to ``TARGET.rejected``, in place of an earlier one; return that path."""
    rejected = rejected_name(target)
    publish(directory, rejected, force=True)
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
        write_whole(model, directory / name)
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

"""Compile the graphs of a bundle, and put the plans into it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from w2vc_runtime.bundle import FILE_NAME, Bundle, Engine, Graph, Interface, Manifest, file_entry, wrapping
from w2vc_runtime.errors import BundleError, EngineError, MissingExtraError, OptionError
from w2vc_runtime.system.cache import cache_folder, keep, read_cached
from w2vc_runtime.system.gpu import find_gpu

from .backends import BACKENDS, Backend
from .ep_context import write_ep_context
from .identity import this_platform
from .profiles import OptimizationProfile, default_profiles, wide_profile

WORKER = Path(__file__).with_name("worker.py")
FOLDER = "engines"
# Providers whose int8 has scales in the graph; TensorRT has no kernels for the other kind, which finds them as it runs.
SCALED = ("cuda", "tensorrt")


@dataclass(frozen=True)
class EngineOptions:
    """What to compile for.

    targets: GPUs, such as ``sm89``; none for all that the backend takes by itself. profiles: texts that
    `OptimizationProfile.parse` reads; none for clips up to 5, 15 and 30 seconds. ep_context: also write an ONNX file
    that wraps the engine, for ONNX Runtime, which runs an engine's first profile and no other; profiles are then one,
    by default up to 30 seconds. Raises `OptionError` on a value that is wrong, and on one that only this machine's
    TensorRT knows to be wrong from `check`.
    """

    targets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    backend: str = "tensorrt-rtx"
    ep_context: bool = False

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise OptionError(f"unknown backend {self.backend!r}; known: {', '.join(BACKENDS)}")
        if self.targets and not self.compiler.names_targets:
            raise OptionError(f"backend {self.backend!r} compiles for the GPU of this machine; leave targets out")
        if len(set(self.targets)) < len(self.targets):
            raise OptionError(f"a target is named twice in {','.join(self.targets)}")
        if len(self._parsed()) > 1 and self.ep_context:
            raise OptionError(
                "--ep-context takes one profile, since ONNX Runtime runs an engine's first and no other; "
                f"{len(self.profiles)} are given"
            )

    @property
    def compiler(self) -> Backend:
        """The backend's entry."""
        return BACKENDS[self.backend]

    def resolve(self, interface: Interface) -> tuple[OptimizationProfile, ...]:
        """The profiles asked for, or the usual ones; raise `OptionError` where the model has no answer for one."""
        for profile in self._parsed():
            profile.check(interface)
        if self.ep_context:
            return self._parsed() or (wide_profile(interface),)
        return self._parsed() or default_profiles(interface)

    def file_name(self, precision: str) -> str:
        """Where an engine is in its bundle; that of the GPU of this machine is named after it.

        Raises what `find_gpu` does.
        """
        gpus = self.targets
        if not self.compiler.names_targets:
            gpus = (_slug(find_gpu().model),)
        return f"{FOLDER}/{'-'.join((self.backend, *gpus, precision))}.plan"

    def check(self) -> None:
        """Ask the backend; raise `MissingExtraError` without it, `OptionError` for a target that it does not have."""
        if find_spec(self.compiler.module) is None:
            raise MissingExtraError("compiling engines", self.backend, self.compiler.extra)
        answer = _work(self.compiler, {})
        known = [name.lower() for name in answer["targets"]]
        for target in self.targets:
            if target not in known:
                version = answer["version"]
                raise OptionError(f"{self.backend} {version} has no target {target!r}; it has: {', '.join(known)}")

    def _parsed(self) -> tuple[OptimizationProfile, ...]:
        return tuple(map(OptimizationProfile.parse, self.profiles))


@dataclass(frozen=True)
class Compiled:
    """A plan that was written.

    layers: of the network. seconds: it took. log: TensorRT's warnings and errors.
    """

    engine: Engine
    layers: int
    seconds: float
    log: tuple[str, ...]


def check_graph(precision: str, provider: str | None) -> None:
    """Raise `OptionError` for a kind of graph that TensorRT has no kernels for. provider: what it is written for."""
    if precision == "int8" and provider not in SCALED:
        raise OptionError(
            f"this int8 is written for provider {provider or 'cpu'!r}, and TensorRT has no kernels for it; "
            "export with --provider tensorrt, or take another precision"
        )


Notify = Callable[[str], None]
"""Is told, in a few words, what long work is at."""


def quiet(_: str) -> None:
    """Tell nobody."""


def compile_graph(bundle: Bundle, graph: Graph, options: EngineOptions, plan: Path, notify: Notify = quiet) -> Compiled:
    """Compile one graph of a bundle that is being written; ``plan`` is where to, and what wraps it goes beside that.

    notify: is told what TensorRT is at. Raises `OptionError` (profiles that the model has no answer for) and
    `EngineError`.
    """
    check_graph(graph.precision, graph.provider)
    manifest, file = bundle.manifest, bundle.file(graph)
    entries = tuple(profile.entry(bundle.interface) for profile in options.resolve(bundle.interface))
    gpu = None if options.compiler.names_targets else find_gpu()
    job = {
        "graph": str(file.resolve()),  # the data of a large graph is found beside it
        "plan": str(plan.resolve()),
        "profiles": [entry.shapes for entry in entries],
        "targets": [target.upper() for target in options.targets],
        "lengths": not options.ep_context,  # whose inputs are the graph's
    }
    with _timings(options) as timings:
        answer = _work(options.compiler, job | timings, notify)
    if "problem" in answer:
        raise EngineError(f"{options.backend} {answer['version']} does not compile {file}: {answer['problem']}")
    entry = file_entry(plan)
    engine = Engine(
        file=options.file_name(graph.precision),
        sha256=entry.sha256,
        size=entry.size,
        backend=options.backend,
        version=answer["version"],
        platform=this_platform(),
        targets=options.targets if gpu is None else (gpu.capability,),
        gpu=None if gpu is None else gpu.model,
        flags=tuple(answer["flags"]),
        precision=graph.precision,
        graph={name: manifest.files[name].sha256 for name in graph.files},
        profiles=entries,
        activation_bytes=answer["activation_bytes"],
    )
    if options.ep_context:
        context = Path(wrapping(str(plan)))
        write_ep_context(context, manifest, engine, graph.opset)
        engine = dataclasses.replace(engine, ep_context=file_entry(context))
    return Compiled(engine, answer["layers"], answer["seconds"], tuple(answer["log"]))


def compile_bundle(
    bundle: Path, options: EngineOptions, precision: str | None = None, notify: Notify = quiet
) -> Compiled:
    """Compile a graph of a bundle and put the engine into it, in place of one of the same name.

    precision: which graph; by default the first. notify: is told what TensorRT is at. The manifest that names the
    engine is replaced last, so that the bundle is as it was if anything fails. Raises what `compile_graph` does,
    `MissingExtraError`, and `BundleError`.
    """
    Bundle.read(bundle)  # before anything that takes time
    options.check()
    try:
        with _locked(bundle), _folder(bundle) as folder:
            read = Bundle.read(bundle)
            read.check()
            manifest, partial = read.manifest, folder / f".{os.getpid()}.plan"
            compiled = compile_graph(read, read.graph(precision), options, partial, notify)
            kept = tuple(each for each in manifest.engines if each.file != compiled.engine.file)
            if kept != manifest.engines:  # at no moment does a manifest name a plan that is not the file's
                _replace_manifest(bundle, dataclasses.replace(manifest, engines=kept))
            partial.replace(bundle / compiled.engine.file)
            if options.ep_context:
                Path(wrapping(str(partial))).replace(bundle / wrapping(compiled.engine.file))
            _replace_manifest(bundle, dataclasses.replace(manifest, engines=(*kept, compiled.engine)))
    except OSError as error:
        raise BundleError(f"cannot write in {bundle}: {error.strerror}") from error
    return compiled


@contextlib.contextmanager
def _timings(options: EngineOptions) -> Iterator[dict[str, str]]:
    """What a job says of kernels that were measured on this GPU, which is kept in the user's cache.

    Nothing for a backend that measures none: TensorRT-RTX, which compiles for GPUs that are not here.
    """
    if options.compiler.names_targets:
        yield {}
        return
    kept = cache_folder(options.backend) / f"{_slug(find_gpu().model)}.timings"
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "timings"
        if (content := read_cached(kept)) is not None:
            own.write_bytes(content)
        yield {"timings": str(own)}
        if own.is_file():
            keep(kept, own.read_bytes())


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@contextlib.contextmanager
def _folder(bundle: Path) -> Iterator[Path]:
    """The directory of the engines, rid of what a killed compilation left in it."""
    folder = bundle / FOLDER
    if folder.is_symlink():  # what is not listed is removed from it
        raise BundleError(f"{folder} is a link; remove it, and the engines are put into a directory of the bundle")
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        listed = {bundle / name for engine in Bundle.read(bundle).manifest.engines for name in engine.files}
        for path in (*folder.glob("*.plan"), *folder.glob("*.onnx")):
            if path not in listed:
                path.unlink()
        with contextlib.suppress(OSError):  # it holds something
            folder.rmdir()


@contextlib.contextmanager
def _locked(bundle: Path) -> Iterator[None]:
    """Hold a bundle, so that of two compilations neither forgets the other's engine."""
    descriptor = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BundleError(f"{bundle} is being compiled by another process; wait until it is done") from error
    finally:
        os.close(descriptor)


def _replace_manifest(bundle: Path, manifest: Manifest) -> None:
    partial = bundle / f".{FILE_NAME}.partial"
    try:
        partial.write_text(manifest.to_json(), encoding="utf-8")
        partial.replace(bundle / FILE_NAME)
    finally:
        partial.unlink(missing_ok=True)


def _work(backend: Backend, job: dict[str, Any], notify: Notify = quiet) -> dict[str, Any]:
    """Have the worker do a job; raise `EngineError` where it does not live to tell."""
    text = json.dumps({**job, "module": backend.module, "path": sys.path})
    answer: dict[str, Any] = {}
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        command = [sys.executable, str(WORKER), text]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True
        ) as worker:
            assert worker.stdout is not None
            try:
                for line in worker.stdout:
                    if line.endswith("\n"):  # otherwise it was killed while it wrote
                        answer = json.loads(line)
                    if "doing" in answer:
                        notify(answer["doing"])
            except BaseException:  # such as Ctrl-C
                worker.kill()
                raise
        said.seek(0)
        last = said.read().strip().rpartition("\n")[2]
    if not worker.returncode:
        return answer
    if worker.returncode > 0:
        raise EngineError(f"{backend.name} failed: {last}")
    ended = signal.Signals(-worker.returncode)
    hint = f": {last}" if last else "; another precision or another version of it may do"
    if ended == signal.SIGKILL:
        hint = ", as where memory runs out"
    raise EngineError(f"{backend.name} was ended by {ended.name}{hint}")

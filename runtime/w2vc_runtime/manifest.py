"""The manifest: the one contract between the exporter and every runtime.

``manifest.json`` says what a bundle computes and how to feed it, so that a runtime needs no other file of the
checkpoint. docs/bundle.md describes every field.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import BundleError, OptionError
from .features import RECIPES, Recipe

SCHEMA = 5
FILE_NAME = "manifest.json"
# Of engines for no GPU in particular: TensorRT-RTX's documentation gives compute capability 8.0 and later.
LEAST_CAPABILITY = 80
# Left out of the manifest's own hash: the time is the only thing in which two exports of the same checkpoint differ.
UNHASHED = ("created", "sha256")


@dataclass(frozen=True)
class Tensor:
    """A graph input or output. Dimensions that vary are named, fixed ones are numbers."""

    name: str
    dtype: str
    shape: tuple[str | int, ...]


@dataclass(frozen=True)
class Frames:
    """How many frames of a time axis a clip has: ``(samples - field) // step + 1``, exactly.

    step: samples from one frame to the next. field: samples that make the first one.
    """

    field: int
    step: int

    def count(self, samples: int) -> int:
        """Frames of a clip of ``samples`` samples; 0 when it is shorter than one frame."""
        return max(0, (samples - self.field) // self.step + 1)


@dataclass(frozen=True)
class Ctc:
    """How token scores become text.

    vocabulary: the token of every logit. blank: index of the CTC blank. word_delimiter: empty for none.
    special_tokens: tokens that are not text.
    kind: ``characters`` are joined, with ``replace_word_delimiter_char`` for the word delimiter (HF
    ``Wav2Vec2CTCTokenizer``); ``phonemes`` are joined by a space and the word delimiter is left out (HF
    ``Wav2Vec2PhonemeCTCTokenizer``).
    """

    vocabulary: tuple[str, ...]
    blank: int
    word_delimiter: str
    replace_word_delimiter_char: str = " "
    special_tokens: tuple[str, ...] = ()
    do_lower_case: bool = False
    clean_up_tokenization_spaces: bool = False
    kind: str = "characters"


@dataclass(frozen=True)
class Labels:
    """What classification scores stand for (HF ``id2label``).

    problem_type: ``single_label_classification`` (softmax), ``multi_label_classification`` (sigmoid) or ``regression``.
    """

    names: tuple[str, ...]
    problem_type: str


@dataclass(frozen=True)
class Graph:
    """One ONNX file of the bundle.

    files: the graph first, then its external data. kept_fp32: how many nodes of each operator stay in fp32. kept: the
    nodes among them that its budget asked for, and why: ``nodes`` and ``reason`` of each step. provider: what it is
    written for; None for nothing in particular.
    """

    precision: str
    files: tuple[str, ...]
    opset: int
    kept_fp32: dict[str, int] = field(default_factory=dict)
    kept: tuple[dict[str, Any], ...] = ()
    provider: str | None = None


@dataclass(frozen=True)
class FileEntry:
    """Hash and size in bytes of one file."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Engine:
    """A graph compiled by TensorRT.

    file: the plan. sha256, size: its own, in bytes. backend, version: what compiled it, and what runs it. platform:
    operating system and processor that it is for. targets: GPUs, such as ``sm89``; none for all that the backend takes
    by itself. gpu: the model, where it was compiled on the GPU that it is for. flags: of the builder that were set.
    graph: sha256 of each file that it was compiled from. profiles: ``seconds`` and ``batch`` of each, least, typical
    and most, and likewise ``shapes`` of the inputs. ep_context: the ONNX file of the same name that wraps it for ONNX
    Runtime; None for none.
    """

    file: str
    sha256: str
    size: int
    backend: str
    version: str
    platform: str
    targets: tuple[str, ...]
    gpu: str | None
    flags: tuple[str, ...]
    precision: str
    graph: dict[str, str]
    profiles: tuple[dict[str, Any], ...]
    ep_context: FileEntry | None = None

    @property
    def files(self) -> dict[str, FileEntry]:
        """The plan, and what wraps it, as the bundle has them."""
        files = {self.file: FileEntry(self.sha256, self.size)}
        if self.ep_context is not None:
            files[wrapping(self.file)] = self.ep_context
        return files

    @property
    def summary(self) -> str:
        """What it is for, in one line."""
        longest = max(profile["seconds"][2] for profile in self.profiles)
        size = f"{self.size / 1e6:.1f} MB"
        return f"{self.backend} {self.version}, {self.precision}, {self.gpus}, {size}, up to {longest:g} s"

    @property
    def gpus(self) -> str:
        """Which GPUs it is for."""
        if self.gpu is not None:
            return f"{self.gpu} ({self.targets[0]})"
        return " or ".join(self.targets) or f"sm{LEAST_CAPABILITY} and later"


@dataclass(frozen=True)
class Manifest:
    """Everything a runtime has to know about a bundle.

    frames: how many valid frames a clip has on each time axis that the shapes name. shortest: the fewest samples for
    which there is an answer. ctc: for head ``ctc``. labels: for the classification heads. engines: compiled from the
    graphs, maybe later and elsewhere.
    """

    name: str
    family: str
    head: str
    position: str
    padding: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: Recipe
    frames: dict[str, Frames]
    shortest: int
    graphs: tuple[Graph, ...]
    source: dict[str, Any]
    tools: dict[str, str]
    verification: dict[str, Any]
    files: dict[str, FileEntry]
    ctc: Ctc | None = None
    labels: Labels | None = None
    created: str = ""
    engines: tuple[Engine, ...] = ()
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The text of ``manifest.json``, its own hash included."""
        return json.dumps({**self._values(), "sha256": self.sha256}, indent=2, ensure_ascii=False) + "\n"

    @property
    def sha256(self) -> str:
        """Hash of all but the time of the export."""
        return digest(json.loads(json.dumps(self._values())))

    @property
    def certified(self) -> str:
        """Hash of the manifest as the certificate knew it: before engines were compiled."""
        return dataclasses.replace(self, engines=()).sha256

    def _values(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        if not self.engines:
            del values["engines"]
        return {**values, "features": {"kind": self.features.kind, **values["features"]}}

    @classmethod
    def read(cls, bundle: Path) -> Manifest:
        """Read ``manifest.json`` of a bundle; raise `BundleError` where it is missing, damaged or too new."""
        path = bundle / FILE_NAME
        if not bundle.is_dir():
            raise BundleError(f"{bundle} is not a directory; expected a bundle that w2vc-export wrote")
        if not path.is_file():
            raise BundleError(f"{bundle} has no {FILE_NAME}; expected a bundle that w2vc-export wrote")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError):
            values = None
        if not isinstance(values, dict) or not isinstance(values.get("schema"), int):
            raise BundleError(f"{path} is damaged: it is not a manifest; export the bundle again")
        if values["schema"] != SCHEMA:
            remedy = "upgrade w2vc" if values["schema"] > SCHEMA else "export the bundle again"
            raise BundleError(
                f"{bundle} has manifest schema {values['schema']}, and this w2vc reads schema {SCHEMA}; {remedy}"
            )
        if values.get("sha256") != digest(values):
            raise BundleError(f"{path} is damaged: its content does not match its sha256; export the bundle again")
        del values["sha256"]
        kind = (values.get("features") or {}).get("kind")
        if kind not in RECIPES:
            raise BundleError(f"{bundle} wants features {kind!r}; this w2vc has {', '.join(RECIPES)}; upgrade w2vc")
        return _build(cls, values)


def digest(values: dict[str, Any]) -> str:
    """sha256 of plain data, but for what `UNHASHED` names."""
    hashed = {key: value for key, value in values.items() if key not in UNHASHED}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def _build(cls: type[Manifest], values: dict[str, Any]) -> Manifest:
    try:
        values["inputs"] = tuple(Tensor(**{**v, "shape": tuple(v["shape"])}) for v in values["inputs"])
        values["outputs"] = tuple(Tensor(**{**v, "shape": tuple(v["shape"])}) for v in values["outputs"])
        features = values["features"]
        values["features"] = RECIPES[features.pop("kind")](**features)
        values["frames"] = {axis: Frames(**entry) for axis, entry in values["frames"].items()}
        if (ctc := values["ctc"]) is not None:
            lists = {"vocabulary": tuple(ctc["vocabulary"]), "special_tokens": tuple(ctc["special_tokens"])}
            values["ctc"] = Ctc(**{**ctc, **lists})
        if (labels := values["labels"]) is not None:
            values["labels"] = Labels(tuple(labels["names"]), labels["problem_type"])
        values["graphs"] = tuple(
            Graph(**{**v, "files": tuple(v["files"]), "kept": tuple(v["kept"])}) for v in values["graphs"]
        )
        values["files"] = {name: FileEntry(**entry) for name, entry in values["files"].items()}
        values["engines"] = tuple(
            Engine(
                **{**v, **{name: tuple(v[name]) for name in ("targets", "flags", "profiles")}, "ep_context": _entry(v)}
            )
            for v in values.get("engines", ())
        )
        return cls(**values)
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{FILE_NAME} does not follow schema {SCHEMA} ({error}); export the bundle again") from error


def _entry(engine: dict[str, Any]) -> FileEntry | None:
    context = engine.get("ep_context")
    return None if context is None else FileEntry(**context)


def wrapping(plan: str) -> str:
    """The ONNX file that wraps a plan for ONNX Runtime: it has the plan's name, and is beside it."""
    return plan.removesuffix(".plan") + ".onnx"


def file_entry(path: Path) -> FileEntry:
    """Hash and measure a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return FileEntry(digest.hexdigest(), path.stat().st_size)


def find_graph(bundle: Path, manifest: Manifest, precision: str | None) -> Graph:
    """The graph in a precision, or the first; raise `OptionError` where the bundle has none in that precision."""
    graphs = {graph.precision: graph for graph in manifest.graphs}
    graph = manifest.graphs[0] if precision is None else graphs.get(precision)
    if graph is None:
        raise OptionError(f"{bundle} has no graph in {precision}; it has: {', '.join(graphs)}")
    return graph


def check_files(bundle: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest; raise `BundleError` on the first that is missing or altered."""
    compiled = {name: entry for engine in manifest.engines for name, entry in engine.files.items()}
    for name, entry in (manifest.files | compiled).items():
        path = bundle / name
        if not path.is_file():
            raise BundleError(f"{bundle} lacks {name}, which its manifest lists; export the bundle again")
        if file_entry(path) != entry:
            raise BundleError(f"{path} is damaged: it does not match the manifest's sha256; export the bundle again")
    for engine in manifest.engines:
        for name, digest in engine.graph.items():
            if name not in manifest.files or manifest.files[name].sha256 != digest:
                raise BundleError(f"{bundle / engine.file} was compiled from another {name}; compile the bundle again")

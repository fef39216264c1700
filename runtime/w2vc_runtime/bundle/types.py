"""What a manifest holds. docs/bundle.md describes every field, docs/manifest.schema.json is made of these types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from w2vc_runtime.documents.typed import OMITTED, AtLeast, OneOf, Pattern, Range

# Of engines for no GPU in particular: TensorRT-RTX's documentation gives compute capability 8.0 and later.
LEAST_CAPABILITY = 80
# Outputs that a graph has by head, in their order, and how many dimensions each may have.
HEADS: dict[str, dict[str, tuple[int, ...]]] = {
    "base": {"last_hidden_state": (3,)},
    "ctc": {"logits": (3,)},
    "sequence-classification": {"logits": (2,)},
    "frame-classification": {"logits": (3,)},
    "xvector": {"logits": (2,), "embeddings": (2,)},
    "pretraining": {
        "projected_states": (3,),
        "projected_quantized_states": (3,),
        "codevector_perplexity": (0, 1),
    },
}
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")
CTC_KINDS = ("characters", "phonemes")

Count = Annotated[int, Range(0, 1 << 53)]
Size = Annotated[int, Range(1, 1 << 31)]
Share = Annotated[float, Range(0, 1)]
Amount = Annotated[float, Range(0, 1e15)]
Name = Annotated[str, Pattern(r"[A-Za-z_][A-Za-z0-9_./:-]*", "a name")]
Sha256 = Annotated[str, Pattern(r"[0-9a-f]{64}", "64 hexadecimal digits")]
InnerPath = Annotated[
    str,
    Pattern(
        r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*",
        "a plain path inside the bundle, such as model.onnx",
    ),
]
Seconds = Annotated[float, Range(0, 3600)]


@dataclass(frozen=True)
class Tensor:
    """A graph input or output. Dimensions that vary are named, fixed ones are numbers."""

    name: Name
    dtype: Annotated[str, OneOf(("float32", "int64", "bool"))]
    shape: tuple[Name | Size, ...]


@dataclass(frozen=True)
class Frames:
    """How many frames of a time axis a clip has: ``(samples - field) // step + 1``, exactly.

    step: samples from one frame to the next. field: samples that make the first one.
    """

    field: Size
    step: Size

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

    vocabulary: Annotated[tuple[str, ...], AtLeast(1)]
    blank: Count
    word_delimiter: str
    replace_word_delimiter_char: str = " "
    special_tokens: tuple[str, ...] = ()
    do_lower_case: bool = False
    clean_up_tokenization_spaces: bool = False
    kind: Annotated[str, OneOf(CTC_KINDS)] = "characters"


@dataclass(frozen=True)
class Labels:
    """What classification scores stand for (HF ``id2label``).

    problem_type: ``single_label_classification`` (softmax), ``multi_label_classification`` (sigmoid) or ``regression``.
    """

    names: Annotated[tuple[str, ...], AtLeast(1)]
    problem_type: Annotated[str, OneOf(PROBLEM_TYPES)]


@dataclass(frozen=True)
class Kept:
    """Nodes that stay in fp32 because the budget asked for it. reason: what was measured."""

    nodes: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Graph:
    """One ONNX file of the bundle.

    files: the graph first, then its external data. kept_fp32: how many nodes of each operator stay in fp32. kept: the
    nodes among them that its budget asked for. provider: what it is written for; None for nothing in particular.
    """

    precision: Name
    files: Annotated[tuple[InnerPath, ...], AtLeast(1)]
    opset: Annotated[int, Range(1, 1000)]
    kept_fp32: dict[str, Count] = field(default_factory=dict)
    kept: tuple[Kept, ...] = ()
    provider: Name | None = None


@dataclass(frozen=True)
class FileEntry:
    """Hash and size in bytes of one file."""

    sha256: Sha256
    size: Count


@dataclass(frozen=True)
class EngineProfile:
    """Clips that an engine takes. seconds, batch, shapes (of each input): least, typical and most."""

    seconds: tuple[Seconds, Seconds, Seconds]
    batch: tuple[Size, Size, Size]
    shapes: dict[Name, tuple[tuple[Size, ...], tuple[Size, ...], tuple[Size, ...]]]


@dataclass(frozen=True)
class Engine:
    """A graph compiled by TensorRT.

    file: the plan. sha256, size: its own, in bytes. backend, version: what compiled it, and what runs it. platform:
    operating system and processor that it is for. targets: GPUs, such as ``sm89``; none for all that the backend takes
    by itself. gpu: the model, where it was compiled on the GPU that it is for. flags: of the builder that were set.
    graph: sha256 of each file that it was compiled from. ep_context: the ONNX file of the same name that wraps it for
    ONNX Runtime; None for none. activation_bytes: memory that a call needs on the GPU beside the weights, in its
    largest profile, by TensorRT's account; None where it gave none.
    """

    file: InnerPath
    sha256: Sha256
    size: Count
    backend: Name
    version: str
    platform: str
    targets: tuple[Name, ...]
    gpu: str | None
    flags: tuple[str, ...]
    precision: Name
    graph: Annotated[dict[InnerPath, Sha256], AtLeast(1)]
    profiles: Annotated[tuple[EngineProfile, ...], AtLeast(1)]
    ep_context: FileEntry | None = None
    activation_bytes: Count | None = field(default=None, metadata=OMITTED)

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
        longest = max(profile.seconds[2] for profile in self.profiles)
        size = f"{self.size / 1e6:.1f} MB"
        needs = "" if self.activation_bytes is None else f", {self.activation_bytes / 1e6:.0f} MB a call beside it"
        return f"{self.backend} {self.version}, {self.precision}, {self.gpus}, {size}{needs}, up to {longest:g} s"

    @property
    def gpus(self) -> str:
        """Which GPUs it is for."""
        if self.gpu is not None:
            return f"{self.gpu} ({self.targets[0]})"
        return " or ".join(self.targets) or f"sm{LEAST_CAPABILITY} and later"


def wrapping(plan: str) -> str:
    """The ONNX file that wraps a plan for ONNX Runtime: it has the plan's name, and is beside it."""
    return plan.removesuffix(".plan") + ".onnx"


@dataclass(frozen=True)
class Source:
    """The checkpoint. name: of its directory. sha256: over its configuration and weights."""

    name: str
    sha256: Sha256


@dataclass(frozen=True)
class Budget:
    """What a precision may cost.

    difference: largest |graph - PyTorch| allowed, relative to PyTorch's largest |value| of that output.
    choices: smallest share of equal choices: the best token or class, or the codevectors of a frame; of those on noise
    and of those on recordings.
    wer: largest rise of the word error rate over PyTorch's, in percentage points, on recordings with transcripts.
    alone: largest |graph in a batch - graph alone| allowed, relative to the same; same_alone: smallest share of choices
    that are equal between the two. Both under ``padding-invariant``.
    """

    difference: Amount
    choices: Share
    wer: Amount
    alone: Amount = 1.0
    same_alone: Share = 0.0


@dataclass(frozen=True)
class CertifiedCase:
    """What became of one batch when the bundle was made.

    batch: clips. seconds: of the longest. difference: largest, relative to the largest value of its output; None for
    none that is finite. choices: how many there were; same: how many of them are equal. recorded: not noise.
    alone: largest difference of a clip in the batch from the graph's own result for it alone; None where nothing was
    compared. changed: how many choices differ from those alone.
    """

    case: str
    batch: Size
    seconds: Amount
    difference: Amount | None
    choices: Count
    same: Count
    recorded: bool
    alone: Amount | None
    changed: Count


@dataclass(frozen=True)
class CertifiedSession:
    """What one session made of a graph. session: what ran it. None without choices, or without transcripts."""

    session: str
    passed: bool
    difference: Amount | None
    same_percent: Amount | None
    error_percent: Amount | None


@dataclass(frozen=True)
class ErrorRates:
    """wer: word errors as a share of the words that were said; cer: the same of characters, spaces among them."""

    wer: float
    cer: float


@dataclass(frozen=True)
class CertifiedAudio:
    """The recordings that a graph was judged on.

    directory: its name. With transcripts: how many ``words`` they have, the graph's error rates, and PyTorch's in
    ``reference``.
    """

    directory: str
    clips: Count
    seconds: Amount
    words: Count | None = field(default=None, metadata=OMITTED)
    reference: ErrorRates | None = field(default=None, metadata=OMITTED)
    wer: Amount | None = field(default=None, metadata=OMITTED)
    cer: Amount | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class Certified:
    """The verdict on a precision when the bundle was made.

    material: what it was judged on. reference: against what. sessions: what each made of it, where several ran it.
    """

    passed: bool
    summary: str
    budget: Budget
    problems: tuple[str, ...]
    material: str
    audio: CertifiedAudio | None
    cases: Annotated[tuple[CertifiedCase, ...], AtLeast(1)]
    reference: str
    sessions: tuple[CertifiedSession, ...] = field(default=(), metadata=OMITTED)

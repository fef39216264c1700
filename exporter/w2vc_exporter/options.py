"""What can be asked of an export."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from w2vc_runtime.engines import EngineOptions, check_graph

from .errors import ExportError
from .precision.forms import FORMS

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
Padding = Literal["padding-invariant", "hf-exact"]
PADDINGS: tuple[str, ...] = get_args(Padding)
# The heads' own names, then the ecosystem's task names for them.
HEADS = {
    "base": "base",
    "ctc": "ctc",
    "sequence-classification": "sequence-classification",
    "frame-classification": "frame-classification",
    "xvector": "xvector",
    "pretraining": "pretraining",
    "feature-extraction": "base",
    "automatic-speech-recognition": "ctc",
    "audio-classification": "sequence-classification",
    "audio-frame-classification": "frame-classification",
    "audio-xvector": "xvector",
}
# How the names of Hugging Face's classes end, and which head that is.
CLASSES = {
    "Model": "base",
    "ForCTC": "ctc",
    "ForSequenceClassification": "sequence-classification",
    "ForAudioFrameClassification": "frame-classification",
    "ForXVector": "xvector",
    "ForPreTraining": "pretraining",
}
CLASS = re.compile(f"Wav2Vec2(?:Conformer|Bert)?({'|'.join(CLASSES)})")
ALL = "all"
# The small checkpoints that the package carries; one of them is taken where none is named.
CARRIED = Path(__file__).parent / "checkpoints"
DIGITS = CARRIED / "digits"
DEFAULTS = {"sequence-classification": CARRIED / "keywords"}


@dataclass(frozen=True)
class ExportOptions:
    """Arguments of ``w2vc-export``; see ``export``.

    checkpoint: a Hugging Face directory, the id of one on the hub, or one of the small ones that the package carries:
    ``digits``, ``digits-bert``, ``keywords``. None takes ``keywords`` for sequence classification, else ``digits``.
    head: ``base``, ``ctc``, ``sequence-classification``, ``frame-classification``, ``xvector``, ``pretraining``, or the
    ecosystem's name of its task, such as ``automatic-speech-recognition``. None takes the one that ``architectures`` in
    the checkpoint's ``config.json`` names; without a checkpoint that is ``ctc``.
    precision: ``fp32``; ``fp16`` or ``bf16``, with normalisation and softmax in fp32; ``int8``, products with constant
    weights in 8 bits. Several, as ``fp32,fp16``, go into one bundle; the first is
    what a runtime takes by default.
    provider: what will run it, ``cpu``, ``cuda``, ``tensorrt`` or ``openvino``: the graph takes the form that it
    computes fastest, and ``int8`` the kind that it has kernels for. By default a form that is good everywhere, and the
    ``int8`` of ONNX Runtime on CPUs.
    budget: what a precision may cost, such as ``tokens=99.9%,wer=+0.2,difference=1e-3``; by default what is usual for
    it. A graph that misses it keeps ever more of itself in fp32.
    audio: directory of recordings, with or without transcripts (see ``corpus``), to judge on beside noise.
    calibrate: directory of recordings to measure the ranges of int8 on; None takes what the graph is judged on.
    target_lang: language whose adapter a multilingual checkpoint is exported with, such as ``fra``; None for its own.
    padding: ``padding-invariant`` (a clip's result does not depend on its batch) or ``hf-exact`` (what Hugging Face
    computes for a padded batch).
    hidden_states: for head ``base``, which hidden states to give besides the last: numbers of layers (0 is what goes
    into the first), or ``all``.
    lm: a language model to put into the bundle: an ARPA file, plain or gzip, or a directory as
    ``Wav2Vec2ProcessorWithLM`` writes it, such as the checkpoint's own. Needs w2vc-native.
    tensorrt: compile each graph to a TensorRT engine too, which needs no GPU. targets, profiles, ep_context: what for;
    those of `EngineOptions`.
    output: directory to write; None names it after the checkpoint, head and precision, in the working directory.
    force: put the bundle in the place of an earlier one, or of an empty directory. A directory that holds anything else
    is never replaced.
    """

    checkpoint: str | Path | None = None
    head: str | None = None
    precision: str = "fp32"
    provider: str | None = None
    budget: str | None = None
    audio: str | Path | None = None
    calibrate: str | Path | None = None
    padding: Padding = "padding-invariant"
    output: str | Path | None = None
    force: bool = False
    target_lang: str | None = None
    hidden_states: tuple[int, ...] | Literal["all"] = ()
    lm: str | Path | None = None
    tensorrt: bool = False
    targets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    ep_context: bool = False

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("head", self.head, (None, *HEADS)),
            ("padding", self.padding, PADDINGS),
            ("provider", self.provider, FORMS),
        ):
            if value not in allowed:
                raise ExportError(f"unknown {name} {value!r}; known: {', '.join(filter(None, allowed))}")
        for precision in self.precisions:
            if precision not in PRECISIONS:
                raise ExportError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
        if self.provider == "cpu" and "bf16" in self.precisions:
            raise ExportError("provider 'cpu' cannot compute in bf16; take 'openvino', or another precision")
        if len(set(self.precisions)) < len(self.precisions):
            raise ExportError(f"a precision is named twice in {self.precision!r}")
        if self.calibrate is not None and "int8" not in self.precisions:
            raise ExportError(f"recordings to calibrate on are for precision int8, and {self.precision} is asked for")
        if self.head is not None and self.hidden_states and self.task != "base":
            raise ExportError(f"hidden states are given by head 'base', not by {self.task!r}")
        if self.head is not None and self.target_lang is not None and self.task != "ctc":
            raise ExportError(f"a target language belongs to head 'ctc', not to {self.task!r}")
        if self.head is not None and self.lm is not None and self.task != "ctc":
            raise ExportError(f"a language model belongs to head 'ctc', not to {self.task!r}")
        if (self.targets or self.profiles or self.ep_context) and not self.tensorrt:
            asked = "--ep-context is" if self.ep_context else "targets and profiles are"
            raise ExportError(f"{asked} for engines, and none is asked for; add --tensorrt")
        if self.engines is not None:
            for precision in self.precisions:
                check_graph(precision, self.provider)

    @property
    def engines(self) -> EngineOptions | None:
        """What to compile engines for; None for no engines."""
        return EngineOptions(self.targets, self.profiles, ep_context=self.ep_context) if self.tensorrt else None

    @property
    def source(self) -> Path:
        """The checkpoint: a directory or a hub id."""
        if self.checkpoint is None:
            return DIGITS if self.head is None else DEFAULTS.get(self.task, DIGITS)
        named = Path(self.checkpoint)
        carried = CARRIED / named.name
        return carried if str(named) == named.name and not named.exists() and carried.is_dir() else named

    @property
    def precisions(self) -> tuple[str, ...]:
        """What to build, in order."""
        return tuple(each.strip() for each in self.precision.split(","))

    @property
    def task(self) -> str:
        """The head by its own name; raise `ExportError` where only the checkpoint names it: see `with_head`."""
        if self.head is None:
            raise ExportError(f"no head is named; known: {', '.join(HEADS)}")
        return HEADS[self.head]

    def with_head(self, architectures: Sequence[Any] | None) -> ExportOptions:
        """These options with a head: where none was asked for, the one that a checkpoint's ``architectures`` name.

        Raises `ExportError` where they name none, or several.
        """
        if self.head is not None:
            return self
        names = architectures if isinstance(architectures, (list, tuple)) else ()
        found = {CLASSES[match[1]] for match in map(CLASS.fullmatch, map(str, names)) if match}
        if len(found) != 1:
            named = ", ".join(map(str, names)) or "none"
            raise ExportError(
                f"{self.source}: the architectures in config.json do not name one head ({named}); "
                f"say --head, one of {', '.join(CLASSES.values())}"
            )
        return dataclasses.replace(self, head=found.pop())

    def hidden_states_of(self, layers: int) -> tuple[int, ...]:
        """The hidden states to give, of a model with that many layers."""
        if isinstance(self.hidden_states, str):
            return tuple(range(layers + 1))
        return tuple(sorted(set(self.hidden_states)))

    @property
    def destination(self) -> Path:
        """The directory of the bundle."""
        if self.output is not None:
            return Path(self.output)
        precision = None if self.precision == "fp32" else "-".join(self.precisions)
        parts = (self.source.resolve().name, self.target_lang, self.task, precision, self.provider)
        return Path("-".join(filter(None, parts)))

"""A bundle, loaded and ready to answer."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .audio.blocks import BlockSource
from .audio.reader import AudioSource, Samples, name_of, read_audio
from .batching.buckets import pays
from .batching.ordered import Outcome, outcomes
from .bundle import Bundle, Manifest
from .bundle.interface import TIME_MASK, Arrays, TimeMask
from .chunking.collect import Collector, Piece, collector_for
from .chunking.plan import ChunkOptions, Plan, plan_for
from .chunking.run import Heard, answer, pieces
from .decoding import DECODERS, BeamOptions, Decoder
from .decoding.language_model import LANGUAGE_MODEL
from .errors import AudioError, InferenceError, OptionError, TooLongError, W2vcError
from .results import ANSWERS, Alignment, Alignments, Outputs, Result, transcripts
from .sessions.base import Session
from .sessions.checked import CheckedSession
from .sessions.footprint import Footprint
from .sessions.select import CPU_PROVIDERS, open_bundle
from .system.memory import available_bytes, duration_shown

if TYPE_CHECKING:
    from typing_extensions import Self

# The share of the free memory that a chunk may take where its length is not given.
CHUNK_MEMORY = 0.5


class Model:
    """A speech model. Safe to call from several threads at once; a context manager, which closes it.

    What it answers depends on its head: `Transcript` (ctc), `Classification` (sequence-classification), `FrameLabels`
    (frame-classification), `Embedding` (xvector), `HiddenStates` (base) or `Pretraining` (pretraining).
    """

    def __init__(
        self,
        manifest: Manifest,
        session: Session,
        footprint: Footprint | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        self.manifest = manifest
        self.interface = manifest.interface
        self._session = session
        self._footprint = footprint
        self._decoder = decoder
        self._answer = ANSWERS[manifest.head](manifest) if decoder is None else transcripts(manifest, decoder)

    @property
    def provider(self) -> str:
        """What runs the graph, and was picked where ``auto`` was asked for: see `load`."""
        return self._session.provider

    def close(self) -> None:
        """Let go of the graph and its memory. Closing twice is fine; an answer after it raises `InferenceError`."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def read(self, source: AudioSource, longest: int | None = None) -> Samples:
        """Samples of a recording as this model wants them; raise `AudioError` on one it cannot answer.

        longest: the most samples that are read; by default as many as there is memory to answer for. More are a
        `TooLongError`, before they are decoded. A silent recording has an answer, and a warning.
        """
        rate, shortest = self.interface.sampling_rate, self.interface.shortest

        def too_long(count: int) -> str | None:
            if longest is not None and count > longest:
                return f"{duration_shown(count / rate)} are more than {duration_shown(longest / rate)}"
            return self._shortage(1, count)

        try:
            samples = read_audio(source, rate, shortest, too_long)
        except W2vcError:
            raise
        except Exception as error:  # whatever is wrong with one recording is no fault of the others
            reason = (str(error).splitlines() or [""])[0]
            raise AudioError(f"{name_of(source)} cannot be read: {type(error).__name__}: {reason}") from error
        if not samples.any():
            warnings.warn(f"{name_of(source)} is silent: every sample is zero", stacklevel=2)
        return samples

    def feed(self, clips: Sequence[Samples], mask_time_indices: Sequence[TimeMask] | None = None) -> Arrays:
        """The graph's inputs by name for a batch of clips as `read` gives them.

        mask_time_indices: as for `infer`. Raises `InferenceError` where they are not finite, or would take more memory
        than there is.
        """
        if problem := self._shortage(len(clips), max(map(len, clips), default=0)):
            raise InferenceError(f"too much for the memory here: {problem}")
        interface = self.interface
        if mask_time_indices is not None and not interface.takes_time_masks:
            raise OptionError(f"{TIME_MASK} is for head 'pretraining'; this bundle has head {self.manifest.head!r}")
        with np.errstate(all="ignore"):  # what is not finite is an error of ours
            inputs = interface.feed(clips, mask_time_indices)
        _expect_finite("the features", inputs[interface.features.input])
        return inputs

    def run(self, inputs: Arrays) -> Arrays:
        """The graph's outputs by name from its inputs by name; raise `InferenceError` where the backend fails."""
        return self._session.run(inputs)

    def split(self, outputs: Arrays, clips: Sequence[Samples]) -> list[Outputs]:
        """The outputs of each clip of a batch, cut to its valid frames.

        Raises `InferenceError` on what is not finite, or has fewer frames than a clip.
        """
        rows = self.interface.split(outputs, clips)
        for row in rows:
            for name, value in row.items():
                _expect_finite(f"{name} of provider {self.provider!r}", value)
        return rows

    def answer(self, outputs: Outputs, samples: int) -> Result:
        """The result of one clip, of so many samples, from its outputs as `split` gives them."""
        return self._answer(outputs, samples / self.interface.sampling_rate)

    def outputs(self, clips: Sequence[Samples], mask_time_indices: Sequence[TimeMask] | None = None) -> list[Outputs]:
        """The graph's outputs by name for each clip, cut to its valid frames: `feed`, `run` and `split`."""
        return self.split(self.run(self.feed(clips, mask_time_indices)), clips)

    def infer(self, clips: Sequence[Samples], mask_time_indices: Sequence[TimeMask] | None = None) -> list[Result]:
        """Answer for clips as `read` gives them, in one batch.

        mask_time_indices: for head ``pretraining``, the frames [frames] of each clip that the encoder must guess; none
        by default.
        """
        rows = self.outputs(clips, mask_time_indices)
        return [self.answer(row, len(clip)) for row, clip in zip(rows, clips)]

    def __call__(self, source: AudioSource) -> Result:
        """Answer for one recording: a path, bytes, file object, or ``(samples, sample_rate)``."""
        return self.batch([source])[0]

    def batch(self, sources: Iterable[AudioSource], batch_size: int = 8) -> list[Result]:
        """Answer for recordings of any lengths, in their order; clips of like length share a batch.

        Raises what `try_batch` would return for the first recording that has no answer.
        """
        answers: list[Result] = []
        for outcome in self.try_batch(sources, batch_size):
            if isinstance(outcome, W2vcError):
                raise outcome
            answers.append(outcome)
        return answers

    def try_batch(self, sources: Iterable[AudioSource], batch_size: int = 8) -> list[Result | W2vcError]:
        """As `batch`, but a recording that has no answer gives its error in its place, and the others their answers.

        The errors are `AudioError` (it cannot be read, or is too long for the memory here) and `InferenceError` (the
        backend failed on it alone, or what it gave is not finite); they name the recording.
        """
        answers: list[Result | W2vcError] = []
        for outcome in self.map(sources, batch_size):
            if isinstance(outcome, Exception) and not isinstance(outcome, (AudioError, InferenceError)):
                raise outcome
            answers.append(outcome)
        return answers

    def map(
        self,
        sources: Iterable[AudioSource],
        batch_size: int = 8,
        jobs: int = 1,
        long: Callable[[TooLongError], Outcome] | None = None,
        longest: int | None = None,
    ) -> Iterator[Outcome]:
        """As `try_batch`, one after the other, for any number of recordings: each is read when its turn comes.

        jobs: threads that read ahead; with 1, recordings are read in between. Memory is bounded: some hundred short
        recordings, or 17 minutes of audio, are held at a time. A recording without an answer gives its error, whatever
        that is. long: what answers for a recording that is too long to be read whole, such as `chunked`, or for one of
        more than ``longest`` samples.
        """
        return outcomes(_Steps(self, long, longest), sources, batch_size, jobs)

    def plan(self, options: ChunkOptions = ChunkOptions()) -> Plan:  # noqa: B008  # it is frozen
        """How `chunked` and `stream` cut a recording; raise `OptionError` where it cannot be cut like that."""
        return plan_for(self.manifest, options, self._longest())

    def chunked(
        self,
        source: BlockSource,
        options: ChunkOptions = ChunkOptions(),  # noqa: B008
        heard: Heard = lambda seconds: None,
    ) -> Result:
        """Answer for a recording of any length, chunk by chunk; memory is that of one chunk.

        source: as for a call, or ``(blocks, sample_rate)`` with an iterator over arrays. heard: told, after each chunk,
        up to which second there is an answer. Head ``ctc`` gives a `Transcript` and ``frame-classification``
        `FrameLabels` as ever, the others `Windows`, or one answer where ``options.pooled`` asks for it. A recording
        that fits one chunk has the answer of a call, but for `Windows`.
        """
        return answer(self, source, self.plan(options), self._collector(options), heard)

    def stream(
        self,
        source: BlockSource,
        options: ChunkOptions = ChunkOptions(),  # noqa: B008
    ) -> Iterator[Piece]:
        """As `chunked`, but what no later audio can change comes with its chunk, while audio still comes in.

        That is a `Word` for head ``ctc``, and for the others a `Window`. A word waits for its chunk and the context
        behind it: at most ``plan(options).latency_seconds``, and the time to compute.
        """
        collector = self._collector(options, kept=False)
        for new in pieces(self, source, self.plan(options), collector):
            yield from new

    def align(self, source: AudioSource, text: str) -> Alignment:
        """When each word of a known text is said in a recording (head ``ctc``).

        text: words in whatever case. ``*`` stands for any speech, ``[word]`` may be left out. Raises `OptionError` on
        another head, and on text that the vocabulary cannot spell or that the recording is too short for, and
        `MissingExtraError` without w2vc-native.
        """
        if self.manifest.head != "ctc":
            raise OptionError(f"alignment is for head 'ctc'; this bundle has head {self.manifest.head!r}")
        alignments = Alignments(self.manifest)
        clip = self.read(source)
        return alignments(self.outputs([clip])[0], text, len(clip) / self.interface.sampling_rate)

    def _collector(self, options: ChunkOptions, kept: bool = True) -> Collector:
        return collector_for(self.manifest, options.pooled, kept, self._decoder)

    def fits(self, batch: int, samples: int) -> bool:
        """Whether there is memory for a batch of so many clips, padded to so many samples; true where nobody knows."""
        return self._shortage(batch, samples) is None

    def shares(self, lengths: Sequence[int]) -> bool:
        """Whether clips of so many samples are answered sooner in one batch than alone, and there is memory for it."""
        cpu = self.provider in CPU_PROVIDERS
        return pays(lengths, self.interface.sampling_rate, cpu) and self.fits(len(lengths), max(lengths))

    def _longest(self) -> int | None:
        """Samples that fit the memory and the engine here; None where nobody knows."""
        bounds = []
        available = None if self._footprint is None else available_bytes()
        if self._footprint is not None and available is not None:
            bounds.append(self._footprint.longest(available * CHUNK_MEMORY))
        if self.longest_of_engine is not None:
            bounds.append(self.longest_of_engine)
        return min(bounds, default=None)

    @property
    def longest_of_engine(self) -> int | None:
        """Samples of the longest clip that the profiles of the engine take; None without one."""
        engines = [engine for engine in self.manifest.engines if engine.backend == self.provider]
        seconds = [profile.seconds[2] for engine in engines for profile in engine.profiles]
        return int(max(seconds) * self.interface.sampling_rate) if seconds else None

    def _shortage(self, batch: int, samples: int) -> str | None:
        if self._footprint is None:
            return None
        return self._footprint.shortage(batch, samples, self.interface.sampling_rate)


class _Steps:
    """What `Model.map` does for each recording, and for each batch: nothing raises."""

    def __init__(self, model: Model, long: Callable[[TooLongError], Outcome] | None, longest: int | None) -> None:
        self._model = model
        self._long = long
        engine = None if long is None else model.longest_of_engine
        self._longest = min((each for each in (longest, engine) if each is not None), default=None)
        self.shares = model.shares

    def read_or_fail(self, source: AudioSource) -> Samples | Exception:
        try:
            return self._model.read(source, self._longest)
        except Exception as error:
            return error

    def answer_unread(self, problem: Exception) -> Outcome:
        if self._long is None or not isinstance(problem, TooLongError):
            return problem
        try:
            return self._long(problem)
        except Exception as error:
            return error

    def answer_or_fail(self, clips: Sequence[Samples], names: Sequence[str]) -> list[Outcome]:
        """Answers of a batch; where it fails, of each clip alone."""
        try:
            return list(self._model.infer(clips))
        except Exception as error:
            if len(clips) > 1:
                return [answer for clip, name in zip(clips, names) for answer in self.answer_or_fail([clip], [name])]
            if not isinstance(error, (InferenceError, MemoryError)):
                return [error]
            problem = str(error) if isinstance(error, InferenceError) else "it takes more memory than there is"
            failed = InferenceError(f"{names[0]}: {problem}")
            failed.__cause__ = error
            return [failed]


def _expect_finite(what: str, values: NDArray) -> None:
    if not np.isfinite(values).all():
        raise InferenceError(f"{what} are not finite: there is NaN or infinity among them; expected finite values")


def load(
    bundle: str | os.PathLike[str],
    provider: str = "auto",
    precision: str | None = None,
    warm_up: bool = False,
    decoder: str = "greedy",
    beam: BeamOptions | None = None,
    *,
    cuda_graphs: bool = False,
) -> Model:
    """Load a bundle that ``w2vc-export`` wrote, after checking every file against its manifest.

    provider: ``cpu`` or ``cuda`` (ONNX Runtime), ``tensorrt`` or ``tensorrt-rtx`` (an engine of the bundle),
    ``openvino`` (on the CPU) or ``auto``: what the graph is written for, else an engine of the bundle that runs here,
    else CUDA, else OpenVINO where it is installed on an x86, else ``cpu``; ``w2vc info`` says which and why, and the
    logger ``w2vc`` what was passed over. precision: which graph of the bundle; by default its first. warm_up: do
    beforehand what an engine does for the first clips of each length, so that a service is fast from its first answer.
    decoder: for head ``ctc``, ``greedy`` or ``beam``, which searches as ``beam`` says, by default with the language
    model of the bundle where it has one. cuda_graphs: let provider ``cuda`` record small batches, for half their time;
    on trial, see docs/providers.md. Raises `BundleError` (missing, damaged or too new), `OptionError` (no such provider
    here, options that do not fit) or `MissingExtraError`.
    """
    read = Bundle.read(Path(bundle))
    read.check()
    decodes = decoder_of(read, decoder, beam)
    if cuda_graphs and provider != "cuda":
        raise OptionError(f"cuda_graphs is for provider 'cuda', and not for {provider!r}")
    session = CheckedSession(open_bundle(read, read.graph(precision), provider, cuda_graphs), read.interface)
    if warm_up:
        session.warm_up()
    return Model(read.manifest, session, Footprint.of(read, session.provider), decodes)


def decoder_of(bundle: Bundle, name: str, options: BeamOptions | None = None) -> Decoder | None:
    """What decodes for a bundle, as in `load`; None for what its head does by itself."""
    if name not in DECODERS:
        raise OptionError(f"unknown decoder {name!r}; known: {', '.join(DECODERS)}")
    if name == "greedy":
        if options is not None:
            raise OptionError("language models, hotwords and several texts are for decoder 'beam'; ask for it")
        return None
    if bundle.manifest.ctc is None:
        raise OptionError(f"decoder {name!r} is for head 'ctc'; this bundle has head {bundle.manifest.head!r}")
    options = options or BeamOptions()
    if options.lm is None:
        options = dataclasses.replace(options, lm=language_model_of(bundle))
    return DECODERS[name](bundle.manifest.ctc, options)


def language_model_of(bundle: Bundle) -> Path | None:
    """Where a bundle has its language model, if it has one."""
    has = any(file.startswith(f"{LANGUAGE_MODEL}/") for file in bundle.manifest.files)
    return bundle.path / LANGUAGE_MODEL if has else None

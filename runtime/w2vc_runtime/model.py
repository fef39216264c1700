"""A bundle, loaded and ready to answer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .audio.reader import AudioSource, Samples, name_of, read_audio
from .bundle import Bundle, Manifest
from .bundle.interface import TIME_MASK, TimeMask
from .errors import AudioError, InferenceError, OptionError, W2vcError
from .results import ANSWERS, Outputs, Result
from .sessions.base import Session
from .sessions.checked import CheckedSession
from .sessions.footprint import Footprint
from .sessions.select import open_bundle

if TYPE_CHECKING:
    from typing_extensions import Self

# Padding of a batch, as a share of what is padded: more of it costs more than running twice.
MOST_PADDING = 0.25


class Model:
    """A speech model. Safe to call from several threads at once; a context manager, which closes it.

    What it answers depends on its head: `Transcript` (ctc), `Classification` (sequence-classification), `FrameLabels`
    (frame-classification), `Embedding` (xvector), `HiddenStates` (base) or `Pretraining` (pretraining).
    """

    def __init__(self, manifest: Manifest, session: Session, footprint: Footprint | None = None) -> None:
        self.manifest = manifest
        self.interface = manifest.interface
        self._session = session
        self._footprint = footprint
        self._answer = ANSWERS[manifest.head](manifest)

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

    def read(self, source: AudioSource) -> Samples:
        """Samples of a recording as this model wants them; raise `AudioError` on one it cannot answer.

        A silent recording has an answer, and a warning.
        """
        rate, shortest = self.interface.sampling_rate, self.interface.shortest
        try:
            samples = read_audio(source, rate, shortest, lambda count: self._shortage(1, count))
        except W2vcError:
            raise
        except Exception as error:  # whatever is wrong with one recording is no fault of the others
            reason = (str(error).splitlines() or [""])[0]
            raise AudioError(f"{name_of(source)} cannot be read: {type(error).__name__}: {reason}") from error
        if not samples.any():
            warnings.warn(f"{name_of(source)} is silent: every sample is zero", stacklevel=2)
        return samples

    def __call__(self, source: AudioSource) -> Result:
        """Answer for one recording: a path, bytes, file object, or ``(samples, sample_rate)``."""
        return self.batch([source])[0]

    def batch(self, sources: Sequence[AudioSource], batch_size: int = 8) -> list[Result]:
        """Answer for recordings of any lengths, in their order; clips of like length share a batch.

        Raises what `try_batch` would return for the first recording that has no answer.
        """
        answers: list[Result] = []
        for answer in self.try_batch(sources, batch_size):
            if isinstance(answer, W2vcError):
                raise answer
            answers.append(answer)
        return answers

    def try_batch(self, sources: Sequence[AudioSource], batch_size: int = 8) -> list[Result | W2vcError]:
        """As `batch`, but a recording that has no answer gives its error in its place, and the others their answers.

        The errors are `AudioError` (it cannot be read, or is too long for the memory here) and `InferenceError` (the
        backend failed on it alone, or what it gave is not finite); they name the recording.
        """
        if batch_size < 1:
            raise OptionError(f"batch_size must be at least 1, got {batch_size}")
        outcomes: dict[int, Result | W2vcError] = {}
        clips: dict[int, Samples] = {}
        for index, source in enumerate(sources):
            try:
                clips[index] = self.read(source)
            except AudioError as error:
                outcomes[index] = error
        for indices in self._batches(clips, batch_size):
            names = [name_of(sources[index]) for index in indices]
            outcomes.update(zip(indices, self._try([clips.pop(index) for index in indices], names)))
        return [outcomes[index] for index in range(len(sources))]

    def _batches(self, clips: Mapping[int, Samples], batch_size: int) -> Iterator[list[int]]:
        """Clips that share a batch, by their keys: no more padding than `MOST_PADDING`, nor memory than there is.

        Longest first, so that memory peaks at once.
        """
        lengths = {index: len(clip) for index, clip in clips.items()}
        batch: list[int] = []
        for index in sorted(lengths, key=lambda index: -lengths[index]):
            together = [*batch, index]
            padded = lengths[together[0]] * len(together)
            if batch and (
                len(together) > batch_size
                or padded > (1 + MOST_PADDING) * sum(lengths[each] for each in together)
                or self._shortage(len(together), lengths[together[0]])
            ):
                yield batch
                together = [index]
            batch = together
        if batch:
            yield batch

    def _try(self, clips: Sequence[Samples], names: Sequence[str]) -> list[Result | W2vcError]:
        """Answers of a batch; where it fails, of each clip alone."""
        try:
            return list(self.infer(clips))
        except (InferenceError, MemoryError) as error:
            if len(clips) > 1:
                return [answer for clip, name in zip(clips, names) for answer in self._try([clip], [name])]
            problem = str(error) if isinstance(error, InferenceError) else "it takes more memory than there is"
            failed = InferenceError(f"{names[0]}: {problem}")
            failed.__cause__ = error
            return [failed]

    def _shortage(self, batch: int, samples: int) -> str | None:
        if self._footprint is None:
            return None
        return self._footprint.shortage(batch, samples, self.interface.sampling_rate)

    def infer(self, clips: Sequence[Samples], mask_time_indices: Sequence[TimeMask] | None = None) -> list[Result]:
        """Answer for clips as `read` gives them, in one batch.

        mask_time_indices: for head ``pretraining``, the frames [frames] of each clip that the encoder must guess; none
        by default.
        """
        rate = self.interface.sampling_rate
        rows = self.outputs(clips, mask_time_indices)
        return [self._answer(row, len(clip) / rate) for row, clip in zip(rows, clips)]

    def outputs(self, clips: Sequence[Samples], mask_time_indices: Sequence[TimeMask] | None = None) -> list[Outputs]:
        """The graph's outputs by name for each clip, cut to its valid frames; the arguments are those of `infer`.

        Raises `InferenceError` where the backend fails, where they are not finite, and before it runs where they would
        take more memory than there is.
        """
        if problem := self._shortage(len(clips), max(map(len, clips), default=0)):
            raise InferenceError(f"too much for the memory here: {problem}")
        interface = self.interface
        if mask_time_indices is not None and not interface.takes_time_masks:
            raise OptionError(f"{TIME_MASK} is for head 'pretraining'; this bundle has head {self.manifest.head!r}")
        with np.errstate(all="ignore"):  # what is not finite is an error of ours
            inputs = interface.feed(clips, mask_time_indices)
        _expect_finite("the features", inputs[interface.features.input])
        rows = interface.split(self._session.run(inputs), clips)
        for row in rows:
            for name, value in row.items():
                _expect_finite(f"{name} of provider {self.provider!r}", value)
        return rows


def _expect_finite(what: str, values: NDArray) -> None:
    if not np.isfinite(values).all():
        raise InferenceError(f"{what} are not finite: there is NaN or infinity among them; expected finite values")


def load(
    bundle: str | os.PathLike[str], provider: str = "auto", precision: str | None = None, warm_up: bool = False
) -> Model:
    """Load a bundle that ``w2vc-export`` wrote, after checking every file against its manifest.

    provider: ``cpu`` or ``cuda`` (ONNX Runtime), ``tensorrt`` or ``tensorrt-rtx`` (an engine of the bundle),
    ``openvino`` (on the CPU) or ``auto``: what the graph is written for, else an engine of the bundle that runs here,
    else CUDA, else OpenVINO where it is installed on an x86, else ``cpu``; ``w2vc info`` says which and why, and the
    logger ``w2vc`` what was passed over. precision: which graph of the bundle; by default its first. warm_up: do
    beforehand what an engine does for the first clips of each length, so that a service is fast from its first answer.
    Raises `BundleError` (missing, damaged or too new), `OptionError` (no such provider here) or `MissingExtraError`.
    """
    read = Bundle.read(Path(bundle))
    read.check()
    session = CheckedSession(open_bundle(read, read.graph(precision), provider), read.interface)
    if warm_up:
        session.warm_up()
    return Model(read.manifest, session, Footprint.of(read, session.provider))

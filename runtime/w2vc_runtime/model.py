"""A bundle, loaded and ready to answer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from .audio import AudioSource, Samples, name_of, read_audio
from .ctc import KINDS, GreedyDecoder
from .errors import AudioError, BundleError, InferenceError, OptionError, W2vcError
from .features import RECIPES
from .manifest import Manifest, check_files
from .results import Transcript
from .session import Session, open_session


class Model:
    """A speech recogniser. Safe to call from several threads at once."""

    def __init__(self, manifest: Manifest, session: Session) -> None:
        self.manifest = manifest
        self._session = session
        self._recipe = RECIPES[manifest.features.kind]
        self._decoder = GreedyDecoder(manifest.ctc)

    @property
    def provider(self) -> str:
        """What runs the graph: ``cpu`` or ``cuda``."""
        return self._session.provider

    def read(self, source: AudioSource) -> Samples:
        """Samples of a recording as this model wants them; raise `AudioError` on one it cannot answer.

        A silent recording has an answer, the empty one, and a warning.
        """
        samples = read_audio(source, self.manifest.features.sampling_rate)
        shortest = self.manifest.frames.field
        if len(samples) < shortest:
            milliseconds = 1000 * shortest / self.manifest.features.sampling_rate
            raise AudioError(
                f"{name_of(source)} is too short: {len(samples)} samples; at least {milliseconds:g} ms are needed"
            )
        if not samples.any():
            warnings.warn(f"{name_of(source)} is silent: every sample is zero", stacklevel=2)
        return samples

    def __call__(self, source: AudioSource) -> Transcript:
        """Transcribe one recording: a path, bytes, file object, or ``(samples, sample_rate)``."""
        return self.batch([source])[0]

    def batch(self, sources: Sequence[AudioSource], batch_size: int = 8) -> list[Transcript]:
        """Transcribe recordings of any lengths, in their order; clips of like length share a batch.

        Raises what `try_batch` would return for the first recording that has no answer.
        """
        answers = self.try_batch(sources, batch_size)
        for answer in answers:
            if isinstance(answer, W2vcError):
                raise answer
        return [answer for answer in answers if isinstance(answer, Transcript)]

    def try_batch(self, sources: Sequence[AudioSource], batch_size: int = 8) -> list[Transcript | W2vcError]:
        """As `batch`, but a recording that has no answer gives its error in its place, and the others their answers.

        The errors are `AudioError` (it cannot be read) and `InferenceError` (the backend failed on its batch).
        """
        if batch_size < 1:
            raise OptionError(f"batch_size must be at least 1, got {batch_size}")
        outcomes: dict[int, Transcript | W2vcError] = {}
        clips: dict[int, Samples] = {}
        for index, source in enumerate(sources):
            try:
                clips[index] = self.read(source)
            except AudioError as error:
                outcomes[index] = error
        # Longest first: little is padded, and memory peaks at once.
        order = sorted(clips, key=lambda index: -len(clips[index]))
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            try:
                outcomes.update(zip(indices, self.transcribe([clips[index] for index in indices])))
            except InferenceError as error:
                outcomes.update(dict.fromkeys(indices, error))
        return [outcomes[index] for index in range(len(sources))]

    def transcribe(self, clips: Sequence[Samples]) -> list[Transcript]:
        """Transcribe clips as `read` gives them, in one batch."""
        manifest = self.manifest
        inputs = self._recipe(clips, manifest.features, manifest.padding)
        logits = self._session.run(inputs)["logits"]
        seconds = manifest.frames.step / manifest.features.sampling_rate
        answers = []
        for clip, scores in zip(clips, logits):
            characters = self._decoder.characters(scores[: manifest.frames.count(len(clip))])
            text, words = self._decoder.text(characters), self._decoder.words(characters, seconds)
            answers.append(Transcript(text, words, len(clip) / manifest.features.sampling_rate))
        return answers


def load(bundle: str | os.PathLike[str], provider: str = "auto") -> Model:
    """Load a bundle that ``w2vc-export`` wrote, after checking every file against its manifest.

    provider: ``auto`` (CUDA where it works, else the CPU), ``cpu`` or ``cuda``.
    Raises `BundleError` (missing, damaged or too new), `OptionError` (no such provider here) or `MissingExtraError`.
    """
    directory = Path(bundle)
    manifest = Manifest.read(directory)
    if manifest.features.kind not in RECIPES:
        raise BundleError(f"{directory} wants features {manifest.features.kind!r}; this w2vc has {', '.join(RECIPES)}")
    if manifest.ctc.kind not in KINDS:
        raise BundleError(f"{directory} wants decoding of {manifest.ctc.kind!r}; this w2vc has {', '.join(KINDS)}")
    check_files(directory, manifest)
    return Model(manifest, open_session(directory / manifest.graphs[0].files[0], provider))

"""A bundle, loaded and ready to answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .audio import AudioSource, Samples, read_audio
from .ctc import GreedyDecoder
from .errors import AudioError, BundleError, OptionError
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
        """Samples of a recording as this model wants them; raise `AudioError` on one it cannot answer."""
        samples = read_audio(source, self.manifest.features.sampling_rate)
        shortest = self.manifest.frames.field
        if len(samples) < shortest:
            milliseconds = 1000 * shortest / self.manifest.features.sampling_rate
            name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "audio"
            raise AudioError(f"{name} is too short: {len(samples)} samples; at least {milliseconds:g} ms are needed")
        return samples

    def __call__(self, source: AudioSource) -> Transcript:
        """Transcribe one recording: a path, bytes, file object, or ``(samples, sample_rate)``."""
        return self.batch([source])[0]

    def batch(self, sources: Sequence[AudioSource], batch_size: int = 8) -> list[Transcript]:
        """Transcribe recordings of any lengths, in their order; clips of like length share a batch.

        Raises `AudioError` on the first that cannot be read; see `read` to check them one by one.
        """
        if batch_size < 1:
            raise OptionError(f"batch_size must be at least 1, got {batch_size}")
        clips = [self.read(source) for source in sources]
        results: dict[int, Transcript] = {}
        for indices in _batches([len(clip) for clip in clips], batch_size):
            answers = self.transcribe([clips[index] for index in indices])
            results.update(zip(indices, answers))
        return [results[index] for index in range(len(clips))]

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


def _batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Indices in batches, longest clips first, so that little is padded and memory peaks at once."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    for start in range(0, len(order), size):
        yield order[start : start + size]


def load(bundle: str | os.PathLike[str], provider: str = "auto") -> Model:
    """Load a bundle that ``w2vc-export`` wrote, after checking every file against its manifest.

    provider: ``auto`` (CUDA where it works, else the CPU), ``cpu`` or ``cuda``.
    Raises `BundleError` (missing, damaged or too new), `OptionError` (no such provider here) or `MissingExtraError`.
    """
    directory = Path(bundle)
    manifest = Manifest.read(directory)
    if manifest.features.kind not in RECIPES:
        raise BundleError(f"{directory} wants features {manifest.features.kind!r}; this w2vc has {', '.join(RECIPES)}")
    check_files(directory, manifest)
    return Model(manifest, open_session(directory / manifest.graphs[0].files[0], provider))

"""The bundles that a service has: loaded and unloaded while it runs, each with a batcher of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from w2vc_runtime.audio.reader import Samples
from w2vc_runtime.batching.asynchronous import AsyncBatcher
from w2vc_runtime.bundle import Bundle
from w2vc_runtime.chunking.plan import ChunkOptions, Plan
from w2vc_runtime.chunking.voice import VoiceActivity
from w2vc_runtime.decoding.language_model import LanguageModel, load_language_model
from w2vc_runtime.errors import BundleError, InferenceError, MissingExtraError, OptionError
from w2vc_runtime.model import Model, language_model_of, load
from w2vc_runtime.results import Outputs

from .metrics import Metrics
from .names import NAME
from .problems import Problem
from .settings import Settings


@dataclass(frozen=True)
class Place:
    """Where a bundle is. name: what clients call it."""

    name: str
    path: Path
    precision: str | None = None

    @classmethod
    def of(cls, text: str) -> Place:
        """Of ``[NAME=]PATH[@PRECISION]``; raise `OptionError` on a name that fits no URL."""
        name, separator, rest = text.partition("=")
        rest = rest if separator else name
        path, _, precision = rest.partition("@") if not Path(rest).exists() else (rest, "", "")
        shown = name if separator else Path(path).resolve().name + (f"@{precision}" if precision else "")
        if not NAME.fullmatch(shown):
            raise OptionError(
                f"{shown!r} is no name for a model; take NAME=PATH, with letters, digits, '.', '_' or '-'"
            )
        return cls(shown, Path(path), precision or None)


@dataclass
class Served:
    """A bundle that answers. vad: by which its transcripts are cut. language_model: its own, if it has one."""

    place: Place
    model: Model
    batcher: AsyncBatcher[Outputs]
    vad: VoiceActivity | None
    language_model: LanguageModel | None
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def bundle(self) -> Bundle:
        return Bundle(self.place.path, self.model.manifest)

    async def outputs(self, clip: Samples, timeout: float, patient: bool) -> Outputs:
        """The graph's outputs for a clip, computed beside those of others."""
        return await self.batcher.submit(clip, timeout, patient)

    def plan(self, options: ChunkOptions) -> Plan:
        """How a recording is cut."""
        return _plan(self.model, options, self.vad)


class Models:
    """Loads, finds and lets go of bundles by name."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._served: dict[str, Served] = {}
        self._places = {place.name: place for place in map(Place.of, settings.bundles)}
        self._loading = asyncio.Lock()
        self._vad = None if settings.vad is None else VoiceActivity(settings.vad)
        if len(self._places) < len(settings.bundles):
            raise OptionError("two bundles have one name; give them others, as NAME=PATH")

    async def start(self) -> None:
        """Load what the settings name; raise what `load` raises."""
        for name in self._places:
            await self.load(name)

    async def close(self) -> None:
        """Answer what waits, and let go of all."""
        for name in [*self._served]:
            await self.unload(name)

    def names(self) -> list[str]:
        """Of what is loaded."""
        return [*self._served]

    def get(self, name: str) -> Served:
        """A bundle that is loaded; raise a 404 `Problem` for another."""
        served = self._served.get(name)
        if served is None:
            known = ", ".join(self._served) or "none"
            raise Problem(404, "model_not_found", f"no model of that name is loaded; loaded: {known}")
        return served

    def known(self) -> dict[str, bool]:
        """Every name that can be loaded, and whether it is."""
        found = dict.fromkeys([*self._places, *self._served], False)
        if self._settings.repository is not None:
            for path in sorted(Path(self._settings.repository).iterdir()):
                if NAME.fullmatch(path.name) and (path / "manifest.json").is_file():
                    found.setdefault(path.name, False)
        return {name: name in self._served for name in found}

    async def load(self, name: str) -> None:
        """Load a bundle, anew where it is loaded: its successor takes over when it is ready."""
        place = self._place(name)
        async with self._loading:
            provider = self._settings.provider
            model = await asyncio.to_thread(load, place.path, provider, place.precision, warm_up=True)
            try:
                _plan(model, self._settings.chunks, self._vad)
                language_model = await asyncio.to_thread(_language_model, Bundle(place.path, model.manifest))
            except OptionError:
                model.close()
                raise
            before = self._served.get(name)
            self._served[name] = Served(place, model, self._batcher(name, model), self._vad, language_model)
            if before is not None:
                await _end(before)

    async def unload(self, name: str) -> None:
        """Let go of a bundle when what waits for it is answered."""
        served = self.get(name)
        del self._served[name]
        await _end(served)

    def waiting(self) -> dict[str, int]:
        """Clips that wait, by model."""
        return {name: served.batcher.waiting for name, served in self._served.items()}

    def _place(self, name: str) -> Place:
        if name in self._places:
            return self._places[name]
        folder = self._settings.repository
        if folder is None:
            raise Problem(404, "model_not_found", "no bundle of that name was configured, and there is no repository")
        base, _, precision = name.partition("@")
        path = Path(folder, base)
        # A link in the repository was put there by who runs the service; a name never leads out.
        if not NAME.fullmatch(name) or ".." in base or not path.is_dir():
            raise Problem(404, "model_not_found", "the repository has no bundle of that name")
        return Place(name, path, precision or None)

    def _batcher(self, name: str, model: Model) -> AsyncBatcher[Outputs]:
        def compute(clips: Sequence[Samples]) -> Sequence[Outputs | Exception]:
            return _outputs(model, clips)

        def observe(lengths: Sequence[int], seconds: float) -> None:
            self._metrics.computed(name, lengths, seconds, model.interface.sampling_rate)

        return AsyncBatcher(compute, self._settings.limits, model.fits, observe)


def _plan(model: Model, options: ChunkOptions, vad: VoiceActivity | None) -> Plan:
    """How a model cuts; voice activity is for those of head ``ctc``."""
    return model.plan(dataclasses.replace(options, vad=vad if model.manifest.head == "ctc" else None))


def _language_model(bundle: Bundle) -> LanguageModel | None:
    """Its own; None too where there is nothing installed that reads it, which a request for it is told."""
    path = language_model_of(bundle)
    try:
        return None if path is None else load_language_model(path)
    except MissingExtraError:
        return None


async def _end(served: Served) -> None:
    await served.batcher.close()
    await asyncio.to_thread(served.model.close)


def _outputs(model: Model, clips: Sequence[Samples]) -> list[Outputs | Exception]:
    """The outputs of each clip; where the batch fails, of each alone."""
    try:
        return list(model.outputs(clips))
    except (InferenceError, MemoryError, BundleError) as error:
        if len(clips) > 1:
            return [each for clip in clips for each in _outputs(model, [clip])]
        problem = "it takes more memory than there is" if isinstance(error, MemoryError) else str(error)
        return [InferenceError(problem)]

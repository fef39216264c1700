"""What decodes for a request: greedy, or a beam search with hotwords and a language model that is loaded once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from w2vc_runtime.decoding import BeamOptions, Decoder
from w2vc_runtime.decoding.language_model import LanguageModel, load_language_model
from w2vc_runtime.errors import OptionError
from w2vc_runtime.model import decoder_of

from .models import Served
from .names import named
from .problems import Problem
from .settings import Settings

# Of a hotword that is given none: pyctcdecode's.
HOTWORD_WEIGHT = 10.0
# Of one request.
MOST_HOTWORDS = 1000


class Decoders:
    """The language models of a service, by name: as many as are configured, each shared by all requests."""

    def __init__(self, settings: Settings) -> None:
        places = dict(map(named, settings.language_models))
        if len(places) < len(settings.language_models):
            raise OptionError("two language models have one name; give them others, as NAME=PATH")
        self._models: Mapping[str, LanguageModel] = {name: load_language_model(path) for name, path in places.items()}

    @property
    def names(self) -> list[str]:
        """Of the language models."""
        return [*self._models]

    def decoder(self, served: Served, name: str, language_model: str, hotwords: str) -> Decoder | None:
        """What decodes for a request; None for what the head does by itself.

        name: of the decoder; where it is empty, ``beam`` with a language model or hotwords, else ``greedy``.
        language_model: its name; where it is empty, that of the bundle. hotwords: WORD or WORD=WEIGHT, with commas.
        """
        weights = _weights(hotwords)
        name = name or ("beam" if weights or language_model else "greedy")
        lm = self._named(language_model) if language_model else None
        options = BeamOptions(hotwords=weights, lm=lm) if weights or lm else None
        if name != "greedy":
            options = options or BeamOptions()
            options = dataclasses.replace(options, lm=options.lm or served.language_model)
        try:
            return decoder_of(served.bundle, name, options)
        except OptionError as error:
            if lm is None:
                raise
            raise OptionError(str(error).replace(str(lm.files.model), f"language model {language_model!r}")) from error

    def _named(self, name: str) -> LanguageModel:
        found = self._models.get(name)
        if found is None:
            known = ", ".join(self._models) or "none"
            raise Problem(
                400, "language_model_not_found", f"there is no language model of that name; there are: {known}"
            )
        return found


def _weights(hotwords: str) -> dict[str, float]:
    parts = [part.strip() for part in hotwords.split(",") if part.strip()]
    if len(parts) > MOST_HOTWORDS:
        raise Problem(422, "invalid_value", f"there are more than {MOST_HOTWORDS} hotwords")
    weights = {}
    for part in parts:
        word, separator, weight = part.rpartition("=")
        try:
            weights[word if separator else part] = float(weight) if separator else HOTWORD_WEIGHT
        except ValueError as error:
            raise Problem(422, "invalid_value", "hotwords must be WORD or WORD=WEIGHT, with commas between") from error
    return weights

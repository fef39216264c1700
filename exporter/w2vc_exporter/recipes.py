"""The preprocessor files of a checkpoint, as the manifest states them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from w2vc_runtime.manifest import Features

from .errors import RecipeError

FEATURE_EXTRACTORS = {"Wav2Vec2FeatureExtractor": "waveform"}
# Copied into the bundle as they are, for whoever wants to feed the graph with Hugging Face's own classes.
COPIED = (
    "config.json", "preprocessor_config.json", "processor_config.json", "vocab.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip


def read_features(checkpoint: Path) -> Features:
    """The feature recipe (HF ``Wav2Vec2FeatureExtractor``); raise `RecipeError` on one that is missing or unknown."""
    path = checkpoint / "preprocessor_config.json"
    values = read_json(path) or read_json(checkpoint / "processor_config.json").get("feature_extractor")
    if not isinstance(values, dict):
        raise RecipeError(f"{checkpoint} has no {path.name}; save the feature extractor beside the model")
    kind = values.get("feature_extractor_type", "Wav2Vec2FeatureExtractor")
    if kind not in FEATURE_EXTRACTORS:
        known = ", ".join(FEATURE_EXTRACTORS)
        raise RecipeError(f"{path}: feature_extractor_type {kind!r} is not supported; supported: {known}")
    for name, only in (("feature_size", 1), ("padding_side", "right")):
        if values.get(name, only) != only:
            raise RecipeError(f"{path}: {name} {values[name]!r} is not supported; supported: {only!r}")
    rate = values.get("sampling_rate", 16000)
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
        raise RecipeError(f"{path}: sampling_rate must be a positive number of Hz, got {rate!r}")
    return Features(
        kind=FEATURE_EXTRACTORS[kind],
        sampling_rate=rate,
        do_normalize=bool(values.get("do_normalize", True)),
        return_attention_mask=bool(values.get("return_attention_mask", False)),
        padding_value=float(values.get("padding_value", 0.0)),
    )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecipeError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} must hold a JSON object")
    return values

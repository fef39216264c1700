"""The model families: one entry for each ``model_type`` of ``config.json``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .backbone import Backbone
from .config import BertConfig, ConformerConfig, SpeechConfig, Wav2Vec2Config
from .conformer import Wav2Vec2Conformer
from .wav2vec2 import Wav2Vec2
from .wav2vec2_bert import Wav2Vec2Bert


@dataclass(frozen=True)
class Family:
    """How checkpoints of one family are configured, built and named.

    prefix: what Hugging Face puts before the encoder's parameters in a model with a head.
    unused: parameters that every checkpoint of the family has and no inference needs.
    renamed: pieces of Hugging Face's parameter names and what they are here.
    """

    config: type[SpeechConfig]
    backbone: Callable[[Any, Any], Backbone]
    prefix: str
    unused: tuple[str, ...] = ("masked_spec_embed",)
    renamed: dict[str, str] = field(default_factory=dict)


FAMILIES: dict[str, Family] = {
    "wav2vec2": Family(
        Wav2Vec2Config,
        Wav2Vec2,
        "wav2vec2.",
        renamed={
            ".attention.q_proj.": ".attention.linear_q.",
            ".attention.k_proj.": ".attention.linear_k.",
            ".attention.v_proj.": ".attention.linear_v.",
            ".attention.out_proj.": ".attention.linear_out.",
        },
    ),
    "wav2vec2-conformer": Family(
        ConformerConfig,
        Wav2Vec2Conformer,
        "wav2vec2_conformer.",
        # The conformer allocates convolutional positions and never calls them; its own are computed.
        unused=("masked_spec_embed", "encoder.pos_conv_embed.", "encoder.embed_positions."),
    ),
    "wav2vec2-bert": Family(
        BertConfig, Wav2Vec2Bert, "wav2vec2_bert.", unused=("masked_spec_embed", "encoder.embed_positions.")
    ),
}

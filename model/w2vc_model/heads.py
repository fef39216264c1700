"""Heads on top of the encoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from .config import SpeechConfig
from .errors import ConfigError
from .families import FAMILIES
from .masks import PaddingContract


class ForCTC(nn.Module):
    """Letter scores for connectionist temporal classification (HF ``Wav2Vec2ForCTC`` and its kin)."""

    def __init__(self, config: SpeechConfig, padding: PaddingContract = "padding-invariant") -> None:
        super().__init__()
        if config.vocab_size is None:
            raise ConfigError("config.json: vocab_size is missing; the ctc head needs it")
        self.config = config
        self.backbone = FAMILIES[config.model_type].backbone(config, padding)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, input_values: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits [batch, frames, vocab_size]; the arguments are those of `Backbone`."""
        return self.lm_head(self.backbone(input_values, attention_mask))


@dataclass(frozen=True)
class Head:
    """One value of ``--head``: its module, and the parameters that mark a checkpoint as having it."""

    module: type[ForCTC]
    marker: str


HEADS: dict[str, Head] = {
    "ctc": Head(ForCTC, "lm_head."),
}

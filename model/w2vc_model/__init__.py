"""Reference models of the Wav2Vec2 family in PyTorch, for inference and export."""

from .checkpoint import load
from .config import ConformerConfig
from .errors import CheckpointError, ConfigError, HeadError, ModelError
from .heads import HEADS, ConformerForCTC
from .masks import PaddingContract

__all__ = [
    "HEADS",
    "CheckpointError",
    "ConfigError",
    "ConformerConfig",
    "ConformerForCTC",
    "HeadError",
    "ModelError",
    "PaddingContract",
    "load",
]

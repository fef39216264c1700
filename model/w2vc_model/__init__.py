"""Reference models of the Wav2Vec2 family in PyTorch, for inference and export."""

from .checkpoint import load, read_config
from .config import BertConfig, ConformerConfig, SpeechConfig, Wav2Vec2Config
from .errors import CheckpointError, ConfigError, HeadError, ModelError
from .families import FAMILIES
from .heads import HEADS, SpeechModel
from .masks import PaddingContract

__all__ = [
    "FAMILIES",
    "HEADS",
    "BertConfig",
    "CheckpointError",
    "ConfigError",
    "ConformerConfig",
    "HeadError",
    "ModelError",
    "PaddingContract",
    "SpeechConfig",
    "SpeechModel",
    "Wav2Vec2Config",
    "load",
    "read_config",
]

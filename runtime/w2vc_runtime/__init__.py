"""Run speech bundles that ``w2vc-export`` wrote: audio in, answers out, no PyTorch.

from w2vc_runtime import load
model = load("digits-ctc-fp16")
print(model("call.flac").text)
"""

from .chunking.plan import ChunkOptions
from .chunking.voice import VoiceActivity
from .decoding import BeamOptions
from .errors import AudioError, BundleError, EngineError, InferenceError, MissingExtraError, OptionError, W2vcError
from .model import Model, load
from .results import (
    Classification,
    Embedding,
    FrameLabels,
    HiddenStates,
    Pretraining,
    Score,
    Segment,
    Transcript,
    Window,
    Windows,
    Word,
)

__all__ = [
    "AudioError",
    "BeamOptions",
    "BundleError",
    "ChunkOptions",
    "Classification",
    "Embedding",
    "EngineError",
    "FrameLabels",
    "HiddenStates",
    "InferenceError",
    "MissingExtraError",
    "Model",
    "OptionError",
    "Pretraining",
    "Score",
    "Segment",
    "Transcript",
    "VoiceActivity",
    "W2vcError",
    "Window",
    "Windows",
    "Word",
    "load",
]

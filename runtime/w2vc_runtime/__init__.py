"""Run speech bundles that ``w2vc-export`` wrote: audio in, text out, no PyTorch.

from w2vc_runtime import load
model = load("digits-ctc-fp16")
print(model("call.flac").text)
"""

from .errors import AudioError, BundleError, InferenceError, MissingExtraError, OptionError, W2vcError
from .model import Model, load
from .results import Transcript, Word

__all__ = [
    "AudioError",
    "BundleError",
    "InferenceError",
    "MissingExtraError",
    "Model",
    "OptionError",
    "Transcript",
    "W2vcError",
    "Word",
    "load",
]

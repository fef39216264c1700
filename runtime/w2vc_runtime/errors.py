"""The errors of this package.

    W2vcError(Exception)
      AudioError(ValueError)            a recording cannot be read, is empty, too short, too long or not finite
        NotAudioError                   it is in no format that can be read
        TooLongError                    it does not fit the memory here, or the bounds that were set
      BundleError(ValueError)           a bundle is missing, damaged or not understood
      EngineError(RuntimeError)         TensorRT does not compile a graph
      InferenceError(RuntimeError)      a backend failed while it computed, or gave what is not finite
      MissingExtraError(ImportError)    an optional package is not installed
      OptionError(ValueError)           an argument has no such value

Every message is one line that says what is wrong and what would be right.
"""

from __future__ import annotations

from typing import Any


class W2vcError(Exception):
    """Root of every error that w2vc raises on purpose."""


class AudioError(W2vcError, ValueError):
    """A recording cannot be read, is empty, too short, too long for the memory here, or not finite."""


class NotAudioError(AudioError):
    """What was given as a recording is in no format that can be read."""


class TooLongError(AudioError):
    """A recording does not fit the memory here, or the bounds that were set, as a whole.

    source: the recording, which can still be read in blocks: what was read of a pipe or a file object is kept.
    """

    def __init__(self, problem: str, source: Any) -> None:
        super().__init__(problem)
        self.source = source


class BundleError(W2vcError, ValueError):
    """A bundle is missing, damaged, or newer than this package."""


class EngineError(W2vcError, RuntimeError):
    """TensorRT does not compile a graph, or died on it."""


class InferenceError(W2vcError, RuntimeError):
    """A backend failed while it computed an answer, or what it gave is not finite."""


class OptionError(W2vcError, ValueError):
    """An argument has a value that is not supported."""


class MissingExtraError(W2vcError, ImportError):
    """An optional package is not installed."""

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed; pip install 'w2vc[{extra}]'")

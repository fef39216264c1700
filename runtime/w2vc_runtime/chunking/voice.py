"""Where somebody speaks, by Silero VAD: https://github.com/snakers4/silero-vad, its ``silero_vad.onnx``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.audio.reader import Samples
from w2vc_runtime.errors import OptionError
from w2vc_runtime.sessions.onnx_runtime import CPU, FATAL, import_onnxruntime

# What the model is fed at 16 kHz, the only rate that it has here: the window, after the end of the one before.
RATE, WINDOW, BEFORE = 16000, 512, 64
STATE = (2, 1, 128)
INPUTS, OUTPUTS = ({"input", "state"}, {"input", "state", "sr"}), ["output", "stateN"]


class VoiceActivity:
    """A voice activity model, loaded. Safe to use from several threads at once: each recording has a `Listener`.

    path: ``silero_vad.onnx`` of version 5 or later. Raises `OptionError` on another file, and `MissingExtraError`
    without ONNX Runtime.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        onnxruntime = import_onnxruntime("cpu")
        configuration = onnxruntime.SessionOptions()
        configuration.log_severity_level = FATAL
        configuration.intra_op_num_threads = configuration.inter_op_num_threads = 1  # a window is little work
        wanted = "expected silero_vad.onnx of the package silero-vad, version 5 or later"
        if not Path(path).is_file():
            raise OptionError(f"{path}: there is no voice activity model; {wanted}")
        try:
            self._session: Any = onnxruntime.InferenceSession(Path(path), configuration, providers=[CPU])
            takes = {each.name for each in self._session.get_inputs()}
            gives = [each.name for each in self._session.get_outputs()]
            fits = takes in INPUTS and gives == OUTPUTS
            self._rate = {"sr": np.array(RATE, np.int64)} if "sr" in takes else {}
            self._options = onnxruntime.RunOptions()
            self._options.log_severity_level = FATAL
            if fits:
                silence = self.run(np.zeros(BEFORE + WINDOW, np.float32), np.zeros(STATE, np.float32))
                fits = 0 <= silence[0] <= 1 and silence[1].shape == STATE
        except Exception as error:  # onnxruntime raises its own classes, outside any common root
            raise OptionError(f"{path} is no voice activity model; {wanted}") from error
        if not fits:
            raise OptionError(f"{path} is a model, but not of voice activity; {wanted}")

    def run(self, samples: Samples, state: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        """How probable speech is in a window, 0..1, and the next state; samples: [64 + 512]."""
        found, after = self._session.run(OUTPUTS, {"input": samples[None], "state": state, **self._rate}, self._options)
        return float(found[0, 0]), after

    def listen(self) -> Listener:
        """For one recording."""
        return Listener(self)


class Listener:
    """The probability of speech along one recording, which comes in blocks. Its memory is that of what is kept."""

    def __init__(self, model: VoiceActivity) -> None:
        self._model = model
        self._state = np.zeros(STATE, np.float32)
        self._rest = np.zeros(BEFORE, np.float32)  # the end of the last window, and what is no whole window yet
        self._found: list[float] = []
        self._dropped = 0  # windows that are not kept any more

    def push(self, block: Samples) -> None:
        """Take the next samples."""
        held = np.concatenate([self._rest, block])
        count = (len(held) - BEFORE) // WINDOW
        for at in range(0, count * WINDOW, WINDOW):
            probability, self._state = self._model.run(held[at : at + BEFORE + WINDOW], self._state)
            self._found.append(probability)
        self._rest = held[count * WINDOW :]

    def forget(self, first: int) -> None:
        """Let go of what is before a sample."""
        windows = first // WINDOW - self._dropped
        del self._found[:windows]
        self._dropped += windows

    def activity(self, first: int, last: int, step: int) -> NDArray[np.float64]:
        """The probability of speech at each step from one sample, which is kept, to another.

        Where the window is not whole yet, it is that of the one before; 1 where there is none.
        """
        found = np.array(self._found or [1.0])
        windows = (np.arange(first, last - step + 1, step) + step // 2) // WINDOW - self._dropped
        return found[np.clip(windows, 0, len(found) - 1)]

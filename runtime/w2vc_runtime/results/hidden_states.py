"""Head ``base``: what the encoder made of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2vc_runtime.bundle import Manifest

from .base import Answer, Array, Outputs, Result, Table, frame_seconds, plain


@dataclass(frozen=True)
class HiddenStates:
    """What the encoder made of a recording (head ``base``).

    last: the last hidden state, float32 [frames, channels]. layers: further hidden states by layer, [frames, channels]
    each; 0 is what went into the first. frame_seconds: from one frame of ``last`` to the next. duration: of the audio.
    """

    last: Array
    layers: dict[int, Array]
    frame_seconds: float
    duration: float

    @property
    def times(self) -> NDArray[np.floating]:
        """Where each frame of ``last`` starts, in seconds."""
        return np.arange(len(self.last)) * self.frame_seconds

    @property
    def _named(self) -> dict[str, Array]:
        return {"last_hidden_state": self.last, **{f"hidden_states_{i}": state for i, state in self.layers.items()}}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        states = {name: plain(state) for name, state in self._named.items()}
        return {**states, "frame_seconds": self.frame_seconds, "duration": round(self.duration, 3)}

    def to_text(self) -> str:
        """The shape of each state."""
        return ", ".join(f"{name} {len(state)} x {state.shape[1]}" for name, state in self._named.items())

    def table(self) -> Table:
        """One row for each frame of each state."""
        rows = [
            (name, index, *plain(frame)) for name, state in self._named.items() for index, frame in enumerate(state)
        ]
        widest = max(state.shape[1] for state in self._named.values())
        return ("state", "frame", *(f"v{index}" for index in range(widest))), rows


def hidden_states(manifest: Manifest) -> Answer:
    """Hidden states [frames, channels] to `HiddenStates`."""
    seconds, prefix = frame_seconds(manifest), "hidden_states_"

    def answer(outputs: Outputs, duration: float) -> Result:
        layers = {int(name[len(prefix) :]): state for name, state in outputs.items() if name.startswith(prefix)}
        return HiddenStates(outputs["last_hidden_state"], layers, seconds, duration)

    return answer

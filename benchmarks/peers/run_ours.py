"""What w2vc exports, in its own runtime: the graph's time for one clip, and `Model.batch`, text included, for several.

Of the gate, only what the drift needs is run: a verdict is no part of the question, and would take most of the time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from w2vc_runtime import load

PRECISIONS = {"cpu": "fp32,int8", "openvino": "fp32,bf16,int8"}
RATE = 16000


def make(checkpoint: Path, target: Path, name: str, shapes: list[tuple[int, ...]]) -> None:
    import w2vc_runtime.bench.measure
    from w2vc_exporter import ExportOptions, export
    from w2vc_exporter.precision.drift import CASE
    from w2vc_runtime.verify import cases

    cases.CASES = {CASE: cases.CASES[CASE]}
    cases.GAINS = {}
    w2vc_runtime.bench.measure.SECONDS = (1.0,)
    export(
        ExportOptions(
            checkpoint,
            head="ctc",
            output=target / "bundle",
            precision=PRECISIONS[name],
            provider=name,
            budget="tokens=0%,difference=1",
            calibrate=checkpoint / "calibration",
        )
    )


class Engine:
    def __init__(self, checkpoint: Path, target: Path, settings: dict[str, Any]) -> None:
        self.model = load(target / "bundle", settings["provider"], settings["precision"])
        self.together = not settings.get("alone", False)

    def prepare(self, clips: list[Any]) -> Any:
        if len(clips) > 1:
            return clips
        return [clip.samples for clip in clips], self.model.feed([clip.samples for clip in clips])

    def run(self, prepared: Any) -> list[np.ndarray]:
        if isinstance(prepared, list):
            return self._batch(prepared)
        samples, inputs = prepared
        return [row["logits"] for row in self.model.split(self.model.run(inputs), samples)]

    def _batch(self, clips: list[Any]) -> list[np.ndarray]:
        """The logits behind the texts: no two clips are of one length."""
        logits: dict[int, np.ndarray] = {}
        answer = type(self.model).answer

        def kept(outputs: Any, samples: int) -> Any:
            logits[samples] = outputs["logits"]
            return answer(self.model, outputs, samples)

        self.model.answer = kept  # type: ignore[method-assign]
        self.model.batch([(clip.samples, RATE) for clip in clips], batch_size=len(clips) if self.together else 1)
        return [logits[len(clip.samples)] for clip in clips]

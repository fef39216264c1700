"""Ways to run a model of PyTorch on one batch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Arrays = dict[str, np.ndarray]
WARM_UP = 3


class Place(Protocol):
    """Where models run.

    torch: the module. where: its device. type: of weights and values. model: what is run. main: name of its input.
    """

    torch: Any
    where: Any
    type: Any
    model: Any
    main: str


class Eager:
    """A model of PyTorch, or what torch.compile makes of it, from arrays to arrays."""

    def __init__(self, place: Place, model: Any, masked: bool = True, guard: Any = None) -> None:
        self.place, self.model, self.masked = place, model, masked
        self.guard = guard or place.torch.inference_mode

    def upload(self, inputs: Arrays) -> dict[str, Any]:
        torch, main = self.place.torch, self.place.main
        moved = {main: torch.from_numpy(inputs[main]).to(self.place.where).to(self.place.type)}
        if self.masked:
            moved["attention_mask"] = torch.from_numpy(inputs["attention_mask"]).to(self.place.where)
        return moved

    def compute(self, inputs: dict[str, Any]) -> Any:
        with self.guard():
            return self.model(**inputs).logits

    def __call__(self, inputs: Arrays) -> np.ndarray:
        return self.compute(self.upload(inputs)).float().cpu().numpy()


class Captured(Eager):
    """The eager model as a CUDA graph, one a shape."""

    def __init__(self, place: Place, masked: bool) -> None:
        super().__init__(place, place.model, masked)
        self.shape: tuple[int, ...] = ()
        self.broken: Exception | None = None

    def upload(self, inputs: Arrays) -> dict[str, Any]:
        moved = super().upload(inputs)
        shape = tuple(next(iter(moved.values())).shape)
        if self.broken is not None:
            raise self.broken
        if shape != self.shape:
            try:
                self._capture(moved)
            except Exception as error:  # and where it left PyTorch, a second try would tell nothing
                self.broken = error
                raise
            self.shape = shape
        for name, value in moved.items():
            self.inputs[name].copy_(value)
        return self.inputs

    def compute(self, inputs: dict[str, Any]) -> Any:
        self.graph.replay()
        return self.output

    def _capture(self, inputs: dict[str, Any]) -> None:
        torch = self.place.torch
        self.shape, self.inputs = (), {name: value.clone() for name, value in inputs.items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                super().compute(self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = super().compute(self.inputs)

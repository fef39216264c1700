"""Figures of a service, for Prometheus. None of them tells anything of what was said."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The figures of one service."""

    def __init__(self) -> None:
        self._all = all_of_them = CollectorRegistry()
        names = ("route", "status")
        self.requests = Counter("w2vc_requests", "Requests by route and status.", names, registry=all_of_them)
        self.seconds = Histogram(
            "w2vc_request_seconds", "Time of a request.", ("route",), buckets=SECONDS, registry=all_of_them
        )
        self.in_flight = Gauge("w2vc_requests_in_flight", "Requests at work.", registry=all_of_them)
        self.live = Gauge("w2vc_live_sessions", "Live sessions at work.", registry=all_of_them)
        self.waiting = Gauge("w2vc_queue_clips", "Clips that wait for a batch.", ("model",), registry=all_of_them)
        self.audio = Counter("w2vc_audio_seconds", "Audio computed.", ("model",), registry=all_of_them)
        self.padding = Counter("w2vc_padding_seconds", "Padding computed.", ("model",), registry=all_of_them)
        self.batches = Histogram(
            "w2vc_batch_clips", "Clips of a batch.", ("model",), buckets=(1, 2, 4, 8, 16, 32, 64), registry=all_of_them
        )
        self.computing = Histogram(
            "w2vc_batch_seconds", "Time to compute a batch.", ("model",), buckets=SECONDS, registry=all_of_them
        )

    def computed(self, model: str, lengths: Sequence[int], seconds: float, rate: int) -> None:
        """Count a batch of clips of these lengths in samples."""
        self.audio.labels(model).inc(sum(lengths) / rate)
        self.padding.labels(model).inc((max(lengths) * len(lengths) - sum(lengths)) / rate)
        self.batches.labels(model).observe(len(lengths))
        self.computing.labels(model).observe(seconds)

    def page(self, waiting: dict[str, int]) -> bytes:
        """All of them, as Prometheus reads them. waiting: clips that wait, by model."""
        for model, count in waiting.items():
            self.waiting.labels(model).set(count)
        return generate_latest(self._all)

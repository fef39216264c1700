"""A service for tests: ``w2vc serve`` in a process of its own, on a free port of this machine."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import soundfile


def free_port() -> int:
    """Where nobody listens now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


COMMAND = [sys.executable, "-m", "w2vc_runtime.cli.main", "serve"]


class Service:
    """Runs until it is left. settings: of the service, beside its bundles. log: its events so far."""

    def __init__(self, *bundles: str, folder: Path, flags: tuple[str, ...] = (), **settings: object) -> None:
        file = folder / "service.json"
        file.write_text(json.dumps({"port": 0, "provider": "cpu", "bundles": bundles, **settings}))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("W2VC_SERVE_")}
        self.process = subprocess.Popen(
            [*COMMAND, "--config", str(file), *flags], stderr=subprocess.PIPE, text=True, env=environment
        )
        self.log: list[dict] = []
        self.url = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.key = settings.get("api_key")
        self._ready.wait(120)
        assert self.url, self.log

    def _read(self) -> None:
        for line in self.process.stderr:
            event = json.loads(line)
            self.log.append(event)
            self.url = event.get("url", self.url)
            if event["event"] == "ready":
                self._ready.set()
        self._ready.set()

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        return url.host, url.port

    def client(self, **options: object) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(base_url=self.url, headers=headers, **{"timeout": 120, "trust_env": False, **options})

    def alive(self) -> bool:
        with self.client() as client:
            return self.process.poll() is None and client.get("/healthz").status_code == 200

    def resident(self) -> float:
        """MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(300)
        finally:
            self.process.kill()
        self._reader.join(10)
        self.process.stderr.close()
        return code

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


def posted(client: httpx.Client, audio: bytes, model: str = "digits", **fields: str) -> httpx.Response:
    """A transcription request."""
    return client.post("/v1/audio/transcriptions", files={"file": ("a", audio)}, data={"model": model, **fields})


def wav(samples: np.ndarray, rate: int = 16000, kind: str = "WAV") -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


def until_closed(connection) -> tuple[list[dict], int]:
    """What comes until the end, and the code of the end."""
    from websockets.exceptions import ConnectionClosed

    events = []
    try:
        while True:
            events.append(json.loads(connection.recv(60)))
    except ConnectionClosed as closed:
        return events, closed.rcvd.code

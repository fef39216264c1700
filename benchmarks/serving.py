"""A service under load, by a real HTTP client on this machine: batching on against off, then a soak.

    python benchmarks/serving.py BUNDLE [--seconds 20] [--clients 16] [--batch 8] [--soak 120] [--provider cpu]

Clients ask one after the other, each again as soon as it has its answer; the two services, with batching and without,
take turns in rounds. Every answer is compared with that of the clip alone, and the service's own count with the
clients'. Then as many clients as do not fit are let in, so that some are refused. The soak sends good requests, by
every protocol, and hostile ones, and prints resident memory after each tenth. It fails where an answer is wrong, lost
or given twice, where a refusal is none of 429 and 503, and where memory grows by a quarter after the first fifth of the
soak. What was measured goes into ``benchmarks/results/serving.json``.
"""

from __future__ import annotations

import argparse
import base64
import collections
import json
import os
import random
import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.sync.client import connect

from support.service import Service, posted
from w2vc_runtime import load
from w2vc_runtime.audio.reader import read_audio

RESULTS = Path(__file__).parent / "results" / "serving.json"
AUDIO = Path(__file__).parents[1] / "examples" / "digits" / "audio"
ROUNDS = 4
SLACK = 1.25
# A machine that is stopped for a while, as shared ones are, is no reason for a client to give up.
PATIENCE = 600
ONCE = httpx.Limits(max_keepalive_connections=0)
RATE = 16000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0, help="of load, for each of the two")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--soak", type=float, default=120.0)
    parser.add_argument("--provider", default="cpu")
    options = parser.parse_args()
    model = load(options.bundle, options.provider)
    expected = {path.read_bytes(): model(path).text for path in sorted(AUDIO.glob("*.flac"))}
    print(f"{options.bundle}, {options.provider}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    found: dict[str, Any] = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "clients": options.clients}
    found["batching"] = compare(options, expected)
    found["crowd"] = crowd(options, expected)
    if options.soak:
        found["soak"] = soak(options, expected)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def service(options: argparse.Namespace, **settings: object) -> Service:
    folder = Path(tempfile.mkdtemp())
    return Service(f"digits={options.bundle}", folder=folder, **{"provider": options.provider, **settings})


class Load:
    """What clients saw."""

    def __init__(self, expected: dict[bytes, str]) -> None:
        self.expected = expected
        self.seconds: list[float] = []
        self.statuses: collections.Counter[int] = collections.Counter()
        self.wrong = 0
        self.again = 0  # asked once more, since the service had closed an idle connection at that moment
        self.lost: list[str] = []
        self._lock = threading.Lock()

    def run(self, running: Service, clients: int, seconds: float) -> None:
        """Have clients ask, one request after the other each, for so long."""
        ends = time.monotonic() + seconds
        threads = [threading.Thread(target=self._client, args=(running, number, ends)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, running: Service, number: int, ends: float) -> None:
        choose = random.Random(number)
        with running.client(timeout=PATIENCE) as client:
            while time.monotonic() < ends:
                audio = choose.choice(list(self.expected))
                begin = time.perf_counter()
                try:
                    answer = self._asked(client, audio)
                except httpx.HTTPError as error:
                    self.lost.append(repr(error))
                    continue
                taken = time.perf_counter() - begin
                right = answer.status_code != 200 or answer.json()["text"] == self.expected[audio]
                with self._lock:
                    self.statuses[answer.status_code] += 1
                    self.wrong += not right
                    if answer.status_code == 200:
                        self.seconds.append(taken)

    def _asked(self, client: httpx.Client, audio: bytes) -> httpx.Response:
        try:
            return posted(client, audio)
        except httpx.RemoteProtocolError:
            self.again += 1
            return posted(client, audio)

    def figures(self) -> dict[str, Any]:
        """Milliseconds of the answers, and statuses."""
        shares = np.percentile(self.seconds, [50, 95, 99]) * 1000
        return {
            **dict(zip(("p50", "p95", "p99"), shares.round().tolist())),
            "asked_again": self.again,
            "lost": len(self.lost),
            "statuses": dict(sorted(self.statuses.items())),
        }

    def shown(self) -> str:
        found = self.figures()
        return ", ".join(f"{name} {found[name]:.0f} ms" for name in ("p50", "p95", "p99")) + f", {found['statuses']}"


def counted(running: Service) -> dict[int, int]:
    """Transcriptions by status, by the service's own account."""
    with running.client() as client:
        found = re.findall(
            r'w2vc_requests_total\{route="/v1/audio/transcriptions",status="(\d+)"\} (\S+)', client.get("/metrics").text
        )
    return {int(status): int(float(count)) for status, count in found}


def compare(options: argparse.Namespace, expected: dict[bytes, str]) -> dict[str, Any]:
    loads = {"on": Load(expected), "off": Load(expected)}
    with service(options, batch=options.batch) as on, service(options, batch=1) as off:
        for _ in range(ROUNDS):
            for name, running in (("on", on), ("off", off)):
                loads[name].run(running, options.clients, options.seconds / ROUNDS)
        for name, running in (("on", on), ("off", off)):
            check(name, loads[name], counted(running))
            print(f"batching {name}, {options.clients} clients: {loads[name].shown()}", flush=True)
    rate = {name: len(each.seconds) for name, each in loads.items()}
    ratio = round(rate["on"] / rate["off"], 2)
    print(f"batching answers {ratio} times as many as without; every text is the clip's own", flush=True)
    return {"ratio": ratio, **{name: each.figures() for name, each in loads.items()}}


def crowd(options: argparse.Namespace, expected: dict[bytes, str]) -> dict[str, Any]:
    found = Load(expected)
    with service(options, queue=2, batch=1, requests=8) as running:
        found.run(running, 3 * options.clients, options.seconds / 2)
        check("crowd", found, counted(running))
        assert set(found.statuses) <= {200, 429, 503}, found.statuses
        print(f"{3 * options.clients} clients at a queue of 2 and 8 requests: {found.shown()}", flush=True)
    return found.figures()


def check(name: str, found: Load, counts: dict[int, int]) -> None:
    assert not found.wrong, f"{name}: {found.wrong} wrong answers"
    assert not found.lost, f"{name}: {found.lost}"
    # Who is refused as one too many is refused before there is a route.
    own = {status: count for status, count in found.statuses.items() if status != 503}
    told = {status: count for status, count in counts.items() if status != 503}
    assert own == told, f"{name}: clients saw {own}, the service counted {told}"


def soak(options: argparse.Namespace, expected: dict[bytes, str]) -> dict[str, Any]:
    resident = []
    settings = {"upload": 5_000_000, "duration": 120.0}
    with service(options, **settings) as running:
        good, bad, others = Load(expected), Hostile(running), Others(running, expected)
        ends = time.monotonic() + options.soak
        threads = [threading.Thread(target=each.run, args=(ends,)) for each in (bad, others)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            good.run(running, 4, options.soak / 10)
            resident.append(round(running.resident()))
        for thread in threads:
            thread.join()
        assert running.alive()
    assert not good.wrong + others.wrong
    assert not good.lost, good.lost
    assert set(good.statuses) == {200}, good.statuses
    print(f"{options.soak:.0f} s of good and hostile requests: {good.shown()}")
    print(f"  by WebSocket and Open Inference Protocol: {others.asked}")
    print(f"  hostile: {bad.sent} sent, answered with {dict(sorted(bad.statuses.items()))}")
    print(f"  resident {resident} MB", flush=True)
    assert max(resident[2:]) <= SLACK * resident[1], "memory grows"
    hostile = {"sent": bad.sent, "statuses": dict(sorted(bad.statuses.items()))}
    return {
        "seconds": options.soak, "good": good.figures(), "others": others.asked, "hostile": hostile,
        "resident_megabytes": resident,
    }  # fmt: skip


class Others:
    """One client that asks by live audio and by the Open Inference Protocol, in turn."""

    def __init__(self, running: Service, expected: dict[bytes, str]) -> None:
        self.running, self.expected = running, expected
        self.asked: collections.Counter[str] = collections.Counter()
        self.wrong = 0

    def run(self, ends: float) -> None:
        with self.running.client(timeout=PATIENCE, limits=ONCE) as client:
            while time.monotonic() < ends:
                for audio, text in self.expected.items():
                    self._count("live", text, self._live(audio))
                    given = {
                        "name": "audio",
                        "shape": [1],
                        "datatype": "BYTES",
                        "data": [base64.b64encode(audio).decode()],
                    }
                    answer = client.post("/v2/models/digits/infer", json={"inputs": [given]}).json()
                    self._count("inference", text, answer["outputs"][0]["data"][0]["text"])

    def _count(self, kind: str, text: str, found: str) -> None:
        self.asked[kind] += 1
        self.wrong += found != text

    def _live(self, audio: bytes) -> str:
        samples = read_audio(audio, RATE).astype("<f4").tobytes()
        query = f"model=digits&sample_rate={RATE}&encoding=pcm_f32le"
        with connect(f"ws{self.running.url[4:]}v1/audio/live?{query}", proxy=None) as connection:
            for at in range(0, len(samples), RATE):
                connection.send(samples[at : at + RATE])
            connection.send('{"type": "end"}')
            while (event := json.loads(connection.recv(PATIENCE)))["type"] != "done":
                assert event["type"] != "error", event
            return event["text"]


class Hostile:
    """Requests that are wrong, and clients that are."""

    def __init__(self, running: Service) -> None:
        self.running = running
        self.statuses: collections.Counter[int] = collections.Counter()
        self.sent = 0
        head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        self.kinds: list[Callable[[httpx.Client], None]] = [
            lambda client: self._note(posted(client, b"")),
            lambda client: self._note(posted(client, os.urandom(100_000))),
            lambda client: self._note(posted(client, bytes(6_000_000))),
            lambda client: self._note(posted(client, b"RIFF" + os.urandom(1000), model="../../etc/passwd")),
            lambda client: self._note(client.get("/" + "a" * 5000)),
            lambda client: self._note(client.post("/v2/models/digits/infer", json={"inputs": [{}] * 1000})),
            lambda client: self._note(client.post("/v1/audio/transcriptions", json={"model": "digits"})),
            lambda client: self._raw(b"GET / HTTP/1.1\r\nX: " + b"a" * (1 << 20)),
            lambda client: self._raw(os.urandom(10_000)),
            lambda client: self._raw(head + b"Content-Length: 1000000\r\n\r\n" + bytes(1000)),
            lambda client: self._raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + bytes(65536)),
        ]

    def run(self, ends: float) -> None:
        with self.running.client(timeout=PATIENCE, limits=ONCE) as client:
            while time.monotonic() < ends:
                self.kinds[self.sent % len(self.kinds)](client)
                self.sent += 1

    def _note(self, answer: httpx.Response) -> None:
        assert 400 <= answer.status_code < 500, answer.status_code
        assert answer.json()["error"]
        self.statuses[answer.status_code] += 1

    def _raw(self, content: bytes) -> None:
        """Send, and vanish."""
        with socket.create_connection(self.running.address, timeout=5) as connection:
            try:
                connection.sendall(content)
            except OSError:
                return


if __name__ == "__main__":
    main()

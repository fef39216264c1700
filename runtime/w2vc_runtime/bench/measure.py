"""Latency and memory of a graph on this machine, on the provider that will run it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from w2vc_runtime.bundle import Bundle, Graph, Interface
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.errors import BundleError, InferenceError, MissingExtraError, OptionError
from w2vc_runtime.sessions.base import Session
from w2vc_runtime.sessions.select import open_session
from w2vc_runtime.verify.cases import feed, noise

from .process import baseline, digits, machine, memory, reset_peak

SECONDS = (1.0, 5.0, 15.0, 30.0)
RUNS = 3
# Runs of a length are not repeated past the first, and a length that would take longer than the second is left out: an
# export is not to take much longer for what it tells of speed.
REPEATED_SECONDS, LONGEST_SECONDS = 0.3, 1.0
# Less than this is within what two runs of the same graph differ by.
NOTICEABLE = 1.05


def measure(bundle: Bundle) -> dict[str, Any]:
    """Time every graph of a bundle on single clips of `SECONDS`: plain data for the report.

    ``milliseconds``: median of up to `RUNS` runs of the graph, without the features. ``ratio``: of it to fp32's.
    ``times_real_time``: seconds of audio a second. ``peak_megabytes``: most memory of the process, less what it had
    before it loaded the graph; None where the system does not tell.
    """
    inputs = {seconds: _inputs(bundle.interface, seconds) for seconds in SECONDS}
    precisions = {graph.precision: _measured(bundle.file(graph), graph, inputs) for graph in bundle.manifest.graphs}
    full = {row["seconds"]: row["milliseconds"] for row in precisions.get("fp32", {}).get("lengths", ())}
    for each in precisions.values():
        for row in each["lengths"]:
            row["ratio"] = round(row["milliseconds"] / full[row["seconds"]], 2) if row["seconds"] in full else None
    return {"machine": machine(), "precisions": precisions, "slower": _slower(precisions)}


def _measured(path: Path, graph: Graph, inputs: Mapping[float, Arrays]) -> dict[str, Any]:
    provider = graph.provider or ("openvino" if graph.precision == "bf16" else "cpu")  # which has no bf16
    before = baseline()
    rows: list[dict[str, Any]] = []
    note = None
    try:
        session = open_session(path, provider, graph.precision)
    except (MissingExtraError, OptionError):
        return {"provider": None, "lengths": [], "note": f"not measured: provider {provider} is not here"}
    except BundleError:
        return {"provider": None, "lengths": [], "note": f"not measured: provider {provider} cannot load this graph"}
    pace = 0.0  # seconds that one second of audio took last
    for seconds, arrays in inputs.items():
        if pace * seconds > LONGEST_SECONDS:
            note = f"not measured from {seconds:g} s on: a run would take over {LONGEST_SECONDS:g} s"
            break
        reset = reset_peak()
        try:
            taken = _time(session, arrays)
        except InferenceError:
            note = f"not measured from {seconds:g} s on: provider {provider} failed"
            break
        pace = taken / seconds
        peak = memory("VmHWM") if reset else None
        rows.append({
            "seconds": seconds,
            "milliseconds": digits(1000 * taken),
            "times_real_time": digits(seconds / taken),
            "peak_megabytes": None if peak is None or before is None else max(0, round((peak - before) / 1e6)),
        })  # fmt: skip
    return {"provider": provider, "lengths": rows, "note": note}


def _time(session: Session, inputs: Arrays) -> float:
    """Median seconds of a run; the first of a length also makes room for it, and counts only where it is alone."""
    times: list[float] = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        session.run(inputs)
        times.append(time.perf_counter() - start)
        if sum(times) > REPEATED_SECONDS:
            break
    return statistics.median(times[1:] or times)


def _inputs(interface: Interface, seconds: float) -> Arrays:
    rate = interface.sampling_rate
    samples = max(interface.shortest, round(seconds * rate))
    return feed(interface, [noise(samples, rate, np.random.default_rng(0))])


def _slower(precisions: Mapping[str, Any]) -> list[str]:
    """One sentence for each precision that costs more time than fp32 here."""
    sentences = []
    for precision, each in precisions.items():
        slow = [row for row in each["lengths"] if row["ratio"] is not None and row["ratio"] >= NOTICEABLE]
        if slow:
            where = ", ".join(f"{row['ratio']} times as long for {row['seconds']:g} s" for row in slow)
            sentences.append(f"{precision} is slower than fp32 on this machine (provider {each['provider']}): {where}")
    return sentences

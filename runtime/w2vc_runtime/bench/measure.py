"""Latency and memory of a graph on this machine, on the provider that will run it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from w2vc_runtime.bundle import Bundle, Graph, Interface
from w2vc_runtime.bundle.interface import Arrays
from w2vc_runtime.errors import BundleError, InferenceError, MissingExtraError, OptionError
from w2vc_runtime.sessions.base import Session
from w2vc_runtime.sessions.select import open_session
from w2vc_runtime.verify.cases import feed, noise

from .process import baseline, digits, machine, memory, reset_peak

# What was measured of one graph, as plain data.
Speed = dict[str, Any]
SECONDS = (1.0, 5.0, 15.0, 30.0)
RUNS = 3
# Runs of a length are not repeated past the first, and a length that would take longer than the second is left out: an
# export is not to take much longer for what it tells of speed.
REPEATED_SECONDS, LONGEST_SECONDS = 0.3, 0.5
# Less than this is within what two runs of the same graph differ by.
NOTICEABLE = 1.05


def measure(bundle: Bundle, known: Mapping[str, Speed] | None = None) -> dict[str, Any]:
    """Time every graph of a bundle on single clips of `SECONDS`: plain data for the report.

    known: what `measure_session` gave already, by precision; these graphs are not opened again.
    """
    found, graphs = known or {}, bundle.manifest.graphs
    precisions = {each.precision: found.get(each.precision) or _measured(bundle, each) for each in graphs}
    full = {row["seconds"]: row["milliseconds"] for row in precisions.get("fp32", {}).get("lengths", ())}
    for each in precisions.values():
        for row in each["lengths"]:
            row["ratio"] = round(row["milliseconds"] / full[row["seconds"]], 2) if row["seconds"] in full else None
    return {"machine": machine(), "precisions": precisions, "slower": _slower(precisions)}


def provider_of(precision: str, written_for: str | None) -> str:
    """The provider that a graph is measured on: the one it is written for, or one that has its arithmetic."""
    return written_for or ("openvino" if precision == "bf16" else "cpu")


def measure_session(session: Session, interface: Interface, before: int | None) -> Speed:
    """Time a graph that is open and has not run yet, on single clips of `SECONDS`.

    before: `baseline` before it was opened. ``milliseconds``: median of up to `RUNS` runs of the graph, without the
    features. ``times_real_time``: seconds of audio a second. ``peak_megabytes``: most memory of the process, less what
    it had before; None where the system does not tell. ``ratio``, to fp32's time, is left to `measure`.
    """
    rows: list[dict[str, Any]] = []
    note = None
    pace = 0.0  # seconds that one second of audio took last
    for seconds in SECONDS:
        if pace * seconds > LONGEST_SECONDS:
            note = f"not measured from {seconds:g} s on: a run would take over {LONGEST_SECONDS:g} s"
            break
        inputs, reset = _inputs(interface, seconds), reset_peak()
        try:
            taken = _time(session, inputs)
        except InferenceError:
            note = f"not measured from {seconds:g} s on: provider {session.provider} failed"
            break
        pace = taken / seconds
        peak = memory("VmHWM") if reset else None
        rows.append({
            "seconds": seconds,
            "milliseconds": digits(1000 * taken),
            "times_real_time": digits(seconds / taken),
            "peak_megabytes": None if peak is None or before is None else max(0, round((peak - before) / 1e6)),
        })  # fmt: skip
    return {"provider": session.provider, "lengths": rows, "note": note}


def _measured(bundle: Bundle, graph: Graph) -> Speed:
    provider = provider_of(graph.precision, graph.provider)
    before = baseline()
    try:
        session = open_session(bundle.file(graph), provider, graph.precision)
    except (MissingExtraError, OptionError):
        return {"provider": None, "lengths": [], "note": f"not measured: provider {provider} is not here"}
    except BundleError:
        return {"provider": None, "lengths": [], "note": f"not measured: provider {provider} cannot load this graph"}
    return measure_session(session, bundle.interface, before)


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

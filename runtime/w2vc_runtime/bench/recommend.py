"""What measurements come to: whether they can be trusted, and which setting to take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

Row = Mapping[str, Any]
# Between the quarters of the runs, of their median: what lies further apart is not to be trusted.
WIDE = 0.15
# Settings within so much of the best are as good: of them the most exact is taken, and then the least memory.
ALIKE = 1.05
EXACT = ("fp32", "fp16", "bf16", "int8")


def untrusted(rows: Sequence[Row]) -> str | None:
    """That runs differ too much from each other, for people; None where they do not."""
    timed = [row for row in rows if row["note"] is None]
    wide = [row for row in timed if row["spread"] > WIDE]
    if len(wide) * 4 <= len(timed):  # a few are by chance
        return None
    typical = 100 * median(row["spread"] for row in wide)
    return (
        f"the spread is too wide to trust: in {len(wide)} of {len(timed)} measurements the runs lie more than "
        f"{100 * WIDE:.0f} % apart (typically {typical:.0f} %), as on a machine that is busy with other work; measure "
        "again when it is idle"
    )


def recommended(rows: Sequence[Row]) -> dict[str, Any]:
    """The best setting for ``latency``, one clip at a time, and for ``throughput``; each with its ``reason``.

    A setting is judged over all lengths. Empty where nothing was measured.
    """
    result = {}
    settings = _complete(rows)
    alone = {key: each for key, each in settings.items() if key[-1] == 1}
    if alone:
        result["latency"] = _best(alone, "a clip alone", lambda each: sum(row["milliseconds"] for row in each))
    if settings:
        result["throughput"] = _best(
            settings, "audio a second", lambda each: sum(row["seconds"] / row["times_real_time"] for row in each)
        )
    return result


Key = tuple[str, str, int, int]


def _complete(rows: Sequence[Row]) -> dict[Key, list[Row]]:
    """Rows of all lengths, by provider, precision, threads and batch; without those that lack one."""
    settings: dict[Key, list[Row]] = {}
    for row in rows:
        settings.setdefault((row["provider"], row["precision"], row["threads"], row["batch"]), []).append(row)
    return {key: each for key, each in settings.items() if all(row["note"] is None for row in each)}


def _best(settings: Mapping[Key, list[Row]], of_what: str, cost: Callable[[list[Row]], float]) -> dict[str, Any]:
    """cost: seconds, or what is in proportion to them."""
    costs = {key: cost(each) for key, each in settings.items()}
    least = min(costs.values())
    alike = [key for key, value in costs.items() if value <= ALIKE * least]

    def preference(key: Key) -> tuple[int, float, int, int]:
        peak = max(row["peak_megabytes"] or 0 for row in settings[key])
        return EXACT.index(key[1]) if key[1] in EXACT else len(EXACT), peak, key[2], key[3]

    key = min(alike, key=preference)
    provider, precision, threads, batch = key
    longest = max(settings[key], key=lambda row: row["seconds"])
    reason = f"{longest['times_real_time']:g} times as fast as real time at {longest['seconds']:g} s"
    if len(alike) > 1:
        reason += f"; the most exact of {len(alike)} settings within {100 * ALIKE - 100:.0f} % of the fastest"
    others = {other: value for other, value in costs.items() if other not in alike}
    if others:
        second = min(others, key=lambda other: others[other])
        shown = f"{second[0]}, {second[1]}, {second[2]} threads" + (f", {second[3]} clips" if second[3] > 1 else "")
        reason += f"; {of_what}, the next ({shown}) takes {others[second] / costs[key]:.2f} times as long"
    return {"provider": provider, "precision": precision, "threads": threads, "batch": batch, "reason": reason}

"""Measures one graph on one provider, in a process of its own.

A job comes as JSON in the first argument: ``path``, where Python finds modules; ``bundle``, a directory; ``provider``,
``precision``; ``cores``, which the process keeps to; ``cells``, the seconds and clips of each measurement. Standard
output has one JSON object a line: ``doing``, what it is at, and for each cell ``runs``, the seconds of each, and
``peak``, bytes, or None; or ``problem``, one line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# A cell is run so often, but not for longer than that, as long as there are a few.
RUNS, FEWEST, ENOUGH_SECONDS = 7, 3, 3.0


def main() -> None:
    """Do the job that the first argument is."""
    job = json.loads(sys.argv[1])
    sys.path[:] = job["path"]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])  # what providers take their number of threads from
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # what native code prints is no answer

        def tell(line: dict[str, Any]) -> None:
            answers.write(f"{json.dumps(line)}\n")

        work(job, tell)


def work(job: dict[str, Any], tell: Any) -> None:
    """Do a job; see above."""
    import numpy as np

    from w2vc_runtime.bench.process import baseline, memory, reset_peak
    from w2vc_runtime.bundle import Bundle
    from w2vc_runtime.errors import W2vcError
    from w2vc_runtime.sessions.select import open_bundle
    from w2vc_runtime.verify.cases import feed, noise

    tell({"doing": "loading"})
    before = baseline()
    bundle = Bundle.read(Path(job["bundle"]))
    interface = bundle.interface
    rate = interface.sampling_rate
    try:
        session = open_bundle(bundle, bundle.graph(job["precision"]), job["provider"])
    except W2vcError as error:
        for _ in job["cells"]:
            tell({"problem": str(error)})
        return
    for seconds, batch in job["cells"]:
        tell({"doing": f"{seconds:g} s" if batch == 1 else f"{batch} clips of {seconds:g} s"})
        samples = max(interface.shortest, round(seconds * rate))
        clips = [noise(samples, rate, np.random.default_rng(index)) for index in range(batch)]
        known = reset_peak()
        runs: list[float] = []
        try:
            session.run(feed(interface, clips))  # makes room for the length
            while len(runs) < RUNS and (len(runs) < FEWEST or sum(runs) < ENOUGH_SECONDS):
                start = time.perf_counter()
                session.run(feed(interface, clips))
                runs.append(time.perf_counter() - start)
        except W2vcError as error:
            tell({"problem": str(error)})
            continue
        peak = memory("VmHWM") if known else None
        tell({"runs": runs, "peak": None if peak is None or before is None else max(0, peak - before)})


if __name__ == "__main__":
    main()

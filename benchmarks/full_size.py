"""Time and peak memory of exporting a full-size checkpoint with random weights.

    python benchmarks/full_size.py [--model w2v-bert-2.0] [--layers 24] [--precision fp16]

The export runs in a process of its own, whose peak resident memory is compared with the size of the weights in fp32.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from support import oracle
from support.published import PUBLISHED

# The process reads its own high-water mark: that of a child, as its parent sees it, starts with the parent's. The
# report would set it back for each length that it measures.
EXPORT = """
import sys
import w2vc_runtime.bench.measure
from w2vc_exporter.cli import main
w2vc_runtime.bench.measure.reset_peak = lambda: False
code = main(sys.argv[1:])
print(*[line for line in open("/proc/self/status") if line.startswith("VmHWM")], end="")
sys.exit(code)
"""


def make_checkpoint(name: str, layers: int, folder: Path) -> int:
    """Write a random checkpoint; return the bytes of its weights in fp32."""
    architecture, head, config = PUBLISHED[name]
    model = oracle.build(architecture, head, **{**config, "num_hidden_layers": layers})
    oracle.save(model, folder)
    return 4 * sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=PUBLISHED, default="wav2vec2-conformer-rel-pos-large")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp16")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint"
        weights = make_checkpoint(options.model, options.layers, checkpoint)
        command = [sys.executable, "-c", EXPORT, str(checkpoint), "--head", PUBLISHED[options.model][1]]
        command += ["--precision", options.precision, "-o", str(Path(folder) / "bundle")]
        shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(shown)
    peak = 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", shown)[0])
    print(f"{options.model}, {options.layers} layers, {options.precision}")
    print(f"fp32 weights {weights / 1e9:.2f} GB, peak memory {peak / 1e9:.2f} GB, {peak / weights:.2f} times as much")


if __name__ == "__main__":
    main()

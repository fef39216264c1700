"""Our graph of a relative Conformer against a plain export of Hugging Face's model, in ONNX Runtime on this CPU.

Both come from the same random weights: the hyper-parameters of the published wav2vec2-conformer-rel-pos-large with
fewer layers. The plain export is ``torch.onnx.export(dynamo=True)`` of ``Wav2Vec2ConformerForCTC``, for the one length
that is timed, since its relative shift does not survive a dynamic one. Timed in turn; the ratio is of the medians.

    python benchmarks/relative_bias.py [--layers 4] [--seconds 10] [--threads 2] [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import PreTrainedModel

from w2vc_exporter import ExportOptions, export

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import oracle


def plain(model: PreTrainedModel, samples: int, path: Path) -> Path:
    model.set_attn_implementation("eager")  # the default, sdpa, fails to export
    values = torch.zeros(1, samples)
    torch.onnx.export(
        model, (values,), path, dynamo=True, opset_version=20, input_names=["input_values"], verbose=False
    )
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("layers", 4), ("seconds", 10), ("threads", 2), ("rounds", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    samples = 16000 * options.seconds
    architecture, config = oracle.PUBLISHED["wav2vec2-conformer-rel-pos-large-960h-ft"]
    model = oracle.build(architecture, **{**config, "num_hidden_layers": options.layers})
    values = np.random.default_rng(0).standard_normal((1, samples)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = oracle.save(model, Path(folder) / "checkpoint")
        ours = export(ExportOptions(checkpoint, output=Path(folder) / "ours")).bundle / "model.onnx"
        theirs = plain(model, samples, Path(folder) / "plain.onnx")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        sessions = {
            name: onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
            for name, path in (("plain", theirs), ("ours", ours))
        }
        mask = np.ones((1, samples), np.int64)
        feeds = {"plain": {"input_values": values}, "ours": {"input_values": values, "attention_mask": mask}}
        outputs = {name: session.run(None, feeds[name])[0] for name, session in sessions.items()}
        times: dict[str, list[float]] = {name: [] for name in sessions}
        for _ in range(options.rounds):
            for name, session in sessions.items():
                start = time.perf_counter()
                session.run(None, feeds[name])
                times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    difference = np.abs(outputs["ours"] - outputs["plain"]).max() / np.abs(outputs["plain"]).max()
    print(
        f"onnxruntime {onnxruntime.__version__}, {options.threads} threads, "
        f"{options.layers} layers, {options.seconds} s of audio"
    )
    print(f"plain {median['plain']:.3f} s, ours {median['ours']:.3f} s, ratio {median['ours'] / median['plain']:.2f}")
    print(f"outputs differ by {difference:.1e} of the largest logit")


if __name__ == "__main__":
    main()

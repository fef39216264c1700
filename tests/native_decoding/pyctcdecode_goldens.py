"""Write what pyctcdecode reads in small logits, option by option: ``python pyctcdecode_goldens.py``.

pyctcdecode runs in its own environment, which ``benchmarks/peers`` makes. Its answers are committed: see golden/.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))

from decoding import jobs, material  # noqa: E402

SCALE = 1000.0  # logits are stored as whole thousandths: fewer would make ties
PIECES = ["", "▁one", "▁two", "t", "w", "o", "n", "e", "▁t", "▁o", "three", "▁three"]
NGRAM = {"prune_history": True}

# name: labels and logits, whether there is a model, arguments of build_ctcdecoder and of decode_beams
CASES = {
    "no model": ("letters", False, {}, NGRAM),
    "model": ("letters", True, {}, NGRAM),
    "model, whole history": ("letters", True, {}, {}),
    "hotwords": ("letters", False, {}, {**NGRAM, "hotwords": ["HOT", "qua"], "hotword_weight": 10.0}),
    "model, hotwords": ("letters", True, {}, {**NGRAM, "hotwords": ["HOT", "qua"], "hotword_weight": 10.0}),
    "half of the words": ("letters", True, {"unigrams": "HALF"}, NGRAM),
    "weights": ("letters", True, {"alpha": 1.3, "beta": -0.5, "unk_score_offset": -2.0}, NGRAM),
    "no boundary": ("letters", True, {"lm_score_boundary": False}, NGRAM),
    "narrow": ("letters", True, {}, {**NGRAM, "beam_width": 3, "beam_prune_logp": -4.0, "token_min_logp": -2.0}),
    "wide": ("letters", True, {}, {"beam_width": 300, "beam_prune_logp": -30.0, "token_min_logp": -9.0}),
    "pieces": ("pieces", False, {}, NGRAM),
}


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = material.make(folder, words=80, utterances=8, frames=70, noise=1.5, seed=5)
        arpa = folder / "lm.arpa"
        with gzip.GzipFile(GOLDEN / "lm.arpa.gz", "wb", mtime=0) as file:
            file.write(arpa.read_bytes())
        random = np.random.default_rng(6)
        pieces = [2.5 * random.standard_normal((30, len(PIECES))) for _ in range(4)]
        stored = {
            "letters": np.round(SCALE * np.stack(made.logits)).astype(np.int16),
            "pieces": np.round(SCALE * np.stack(pieces)).astype(np.int16),
        }
        np.savez_compressed(GOLDEN / "logits.npz", **stored)
        labels = {"letters": made.tokens, "pieces": PIECES}
        named = {"HOT": made.words[3], "HALF": made.words[:40]}
        cases = {}
        for case, (kind, modelled, build, decode) in CASES.items():
            build = {key: named.get(value, value) if isinstance(value, str) else value for key, value in build.items()}
            decode = dict(decode)
            if "hotwords" in decode:
                decode["hotwords"] = [named.get(word, word) for word in decode["hotwords"]]
            logits = [(each / SCALE).astype(np.float32) for each in stored[kind]]
            found = jobs.run(
                "pyctcdecode", logits, labels[kind], arpa if modelled else None, build=build, decode=decode, nbest=2
            )
            cases[case] = {
                "kind": kind, "model": modelled, "build": build, "decode": decode, "expected": found["outputs"],
            }  # fmt: skip
        content = {"labels": labels, "cases": cases}
        (GOLDEN / "pyctcdecode.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

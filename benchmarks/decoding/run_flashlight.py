"""Decode a job with flashlight-text's lexicon decoder, in its own environment: ``python run_flashlight.py JOB.json``.

Jobs and results are those of run_pyctcdecode.py; ``words`` are the lexicon, ``decode`` has beam_size_token and
beam_threshold. The weights are what the other decoders have; emissions are normalised outside of the time.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from pathlib import Path

import numpy as np
from flashlight.lib.text import decoder as lib
from flashlight.lib.text.decoder.kenlm import KenLM
from flashlight.lib.text.dictionary import Dictionary

SILENCE = 1  # the space, which ends each word


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return np.ascontiguousarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)), np.float32)


def peak_memory() -> float:
    """The most memory of this process so far, in MB."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    arrays = np.load(job["arrays"])
    labels = {label: index for index, label in enumerate(job["labels"])}
    start = time.perf_counter()
    lexicon = {word: [[*word]] for word in job["words"]}
    words = Dictionary()
    for word in (*lexicon, "<unk>"):
        words.add_entry(word)
    words.set_default_index(words.get_index("<unk>"))
    model = KenLM(job["arpa"], words)
    trie = lib.Trie(len(labels), SILENCE)
    first = model.start(False)
    for word in lexicon:
        index = words.get_index(word)
        _, score = model.score(first, index)
        trie.insert([*(labels[letter] for letter in word), SILENCE], index, score)
    trie.smear(lib.SmearingMode.MAX)
    chosen = job["decode"]
    options = lib.LexiconDecoderOptions(
        beam_size=100,
        beam_size_token=chosen["beam_size_token"],
        beam_threshold=chosen["beam_threshold"],
        lm_weight=0.5 * math.log(10),
        word_score=1.5,
        unk_score=-math.inf,
        sil_score=0.0,
        log_add=False,
        criterion_type=lib.CriterionType.CTC,
    )
    decoder = lib.LexiconDecoder(options, trie, model, SILENCE, 0, words.get_index("<unk>"), [], False)
    loading = time.perf_counter() - start
    before = peak_memory()
    outputs, seconds = [], []
    for name in arrays.files:
        emissions = log_softmax(arrays[name])
        start = time.process_time()
        found = decoder.decode(emissions.ctypes.data, *emissions.shape)
        seconds.append(time.process_time() - start)
        text = " ".join(words.get_entry(index) for index in found[0].words if index >= 0)
        outputs.append([(text, [], float(found[0].emittingModelScore), float(found[0].score))])
    peak = peak_memory()
    result = {"outputs": outputs, "seconds": seconds, "loading": loading, "before": before, "peak": peak}
    Path(job["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()

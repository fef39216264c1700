"""Do our beam search and pyctcdecode read the same texts?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import jobs, material
from .ngrams import estimate, write_arpa

ROOT = Path(__file__).resolve().parents[2]
TIE = 1e-3  # scores that float32 cannot tell apart over hundreds of frames


@dataclass(frozen=True)
class Group:
    """Utterances that are decoded alike. build, decode: options as pyctcdecode calls them."""

    name: str
    labels: list[str]
    logits: list[np.ndarray]
    arpa: Path | None
    build: dict[str, Any] = field(default_factory=dict)
    decode: dict[str, Any] = field(default_factory=dict)


def digit_logits(bundle: Path, data: Path, count: int) -> tuple[list[str], list[np.ndarray], list[str]]:
    """Labels as pyctcdecode wants them, logits and transcripts of digit strings."""
    sys.path.insert(0, str(ROOT / "examples" / "digits"))
    from strings import SAMPLE_RATE, test_strings

    import w2vc_runtime

    model = w2vc_runtime.load(bundle, provider="cpu")
    logits, texts = [], []
    for audio, text in test_strings(data, count):
        clip = model.read((audio, SAMPLE_RATE))
        logits.append(model.outputs([clip])[0]["logits"].astype(np.float32))
        texts.append(text)
    shown = {"<pad>": "", "|": " ", "<unk>": "⁇"}
    assert model.manifest.ctc is not None
    return [shown.get(token, token) for token in model.manifest.ctc.vocabulary], logits, texts


def digit_model(folder: Path, seed: int = 0) -> Path:
    """A 3-gram of strings of one to seven digits, any after any: a grammar rather than a language."""
    from strings import WORDS

    random = np.random.default_rng(seed)
    strings = [[WORDS[digit] for digit in random.integers(10, size=random.integers(1, 8))] for _ in range(20000)]
    return write_arpa(folder / "digits.arpa", estimate(strings, 3, unknown=1e-4))


def groups(folder: Path, count: int, bundle: Path | None, data: Path) -> Iterator[Group]:
    """``count`` utterances in groups of one size: every source, vocabulary, model and kind of hotwords."""
    each = count // 8
    if bundle is not None:
        labels, logits, _ = digit_logits(bundle, data, 3 * each)
        arpa = digit_model(folder)
        yield Group("digits, 3-gram", labels, logits[:each], arpa)
        yield Group("digits, no model", labels, logits[each : 2 * each], None)
        hotwords = {"hotwords": ["seven", "nine"], "hotword_weight": 10.0}
        yield Group("digits, 3-gram, hotwords", labels, logits[2 * each :], arpa, decode=hotwords)
    small = material.make(folder / "small", 32, 3000, each if bundle else 2 * each, None, 1.5, seed=1)
    arpa = folder / "small" / "lm.arpa"
    hot = {"hotwords": small.hotwords, "hotword_weight": 10.0}
    yield Group("32 tokens, no model", small.tokens, small.logits, None)
    yield Group("32 tokens, 3-gram", small.tokens, small.logits, arpa)
    large = material.make(folder / "large", 1000, 3000, each if bundle else 2 * each, None, 1.0, seed=2)
    arpa = folder / "large" / "lm.arpa"
    hot_large = {"hotwords": large.hotwords, "hotword_weight": 10.0}
    some = {"unigrams": large.words[:2000]}
    yield Group("1000 tokens, 3-gram, 2000 of its words", large.tokens, large.logits, arpa, build=some)
    yield Group("32 tokens, 3-gram, hotwords", small.tokens, small.logits, arpa, decode=hot)
    if bundle is not None:
        yield Group("1000 tokens, no model, hotwords", large.tokens, large.logits, None, decode=hot_large)


def compare(group: Group) -> tuple[int, int, list[str]]:
    """How many texts, and how many words in time, are the same; and what became of the others."""
    pruned = {**group.decode, "prune_history": True}
    theirs = jobs.run("pyctcdecode", group.logits, group.labels, group.arpa, build=group.build, decode=pruned, nbest=2)
    ours = {key: value for key, value in pruned.items() if key != "hotword_weight"}
    own = jobs.run("native", group.logits, group.labels, group.arpa, build=group.build, decode=ours, nbest=2)
    same = timed = 0
    others = []
    for index, (left, right) in enumerate(zip(own["outputs"], theirs["outputs"])):
        (text, words, _, score), (other, frames, _, expected) = left[0], right[0]
        same += text == other
        timed += text == other and words == frames
        if text != other:
            second = right[1] if len(right) > 1 else ("", [], 0.0, -np.inf)
            tie = second[0] == text and abs(second[3] - expected) < TIE
            reason = "their second best, a tie" if tie else "NOT EXPLAINED"
            others.append(f"{index}: {reason}: ours {score:.6f} {text!r}, theirs {expected:.6f} {other!r}")
        elif abs(score - expected) > TIE:
            others.append(f"{index}: the text is the same, the scores are {score:.6f} and {expected:.6f}")
    return same, timed, others


def main(folder: Path, count: int, bundle: Path | None, data: Path) -> dict[str, Any]:
    """How many best texts are the same, in all and of each group, with what became of the others."""
    total = equal = 0
    rows = []
    for name in ("small", "large"):
        (folder / name).mkdir()
    for group in groups(folder, count, bundle, data):
        same, timed, others = compare(group)
        total, equal = total + len(group.logits), equal + same
        print(f"{group.name}: {same} of {len(group.logits)} texts are the same, {timed} with the same words in time")
        for line in others:
            print(f"  {line}")
        rows.append(
            {"group": group.name, "utterances": len(group.logits), "same": same, "timed": timed, "others": others}
        )
    print(f"in all {equal} of {total}, {100 * equal / total:.2f} %")
    return {"utterances": total, "same": equal, "groups": rows}

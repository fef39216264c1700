"""Forced alignment: a Viterbi search in numpy, and torchaudio's where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

native = pytest.importorskip("w2vc_native", reason="w2vc-native is not installed: pip install runtime/cpp/python")

TOKENS = ["<pad>", "|", "A", "B", "C", "D"]


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def viterbi(logp, targets, blank=0):
    """The token of each frame on the best path (Graves 2012, 7.3, with the maximum for the sum), and its score."""
    states = [blank]
    for target in targets:
        states += [target, blank]
    frames, count = len(logp), len(states)
    best = np.full((frames, count), -np.inf)
    came = np.zeros((frames, count), int)
    best[0, :2] = logp[0, states[:2]]
    for frame in range(1, frames):
        for state in range(count):
            before = [state, state - 1] if state else [state]
            if state > 1 and states[state] != blank and states[state] != states[state - 2]:
                before.append(state - 2)
            came[frame, state] = max(before, key=lambda each: best[frame - 1, each])
            best[frame, state] = best[frame - 1, came[frame, state]] + logp[frame, states[state]]
    state = max((count - 1, count - 2), key=lambda each: best[-1, each])
    score, path = best[-1, state], []
    for frame in range(frames - 1, -1, -1):
        path.append(state)
        state = came[frame, state]
    return [states[state] for state in path[::-1]], path[::-1], score


def spans(path):
    """[state, start, end] of each token of a path of states."""
    found = []
    for frame, state in enumerate(path):
        if state % 2 == 0:
            continue
        if found and found[-1][0] == state:
            found[-1][2] = frame + 1
        else:
            found.append([state, frame, frame + 1])
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_path_is_that_of_viterbi(seed):
    random = np.random.default_rng(seed)
    words = ["".join(random.choice(list("ABCD"), size=random.integers(1, 5))) for _ in range(random.integers(1, 6))]
    text = " ".join(words)
    targets = [TOKENS.index("|" if letter == " " else letter) for letter in text]
    logits = (3 * random.standard_normal((2 * len(text) + int(random.integers(1, 30)), len(TOKENS)))).astype(np.float32)
    logp = log_softmax(logits)
    _, path, score = viterbi(logp, targets)
    found = native.Aligner(TOKENS, blank=0, delimiter="|").align(logits, text.lower())
    assert found.score == pytest.approx(score, abs=1e-9)
    expected = spans(path)
    assert [(s.start_frame, s.end_frame) for s in found.tokens] == [(start, end) for _, start, end in expected]
    assert [s.text for s in found.tokens] == list(text)
    for span, (state, start, end) in zip(found.tokens, expected):
        assert span.confidence == pytest.approx(np.exp(logp[start:end, targets[state // 2]].max()))
    assert [word.text for word in found.words] == text.lower().split()
    letters = [span for span in found.tokens if span.text != " "]
    for word in found.words:
        own, letters = letters[: len(word.text)], letters[len(word.text) :]
        assert (word.start_frame, word.end_frame) == (own[0].start_frame, own[-1].end_frame)
        assert word.confidence == pytest.approx(np.exp(np.mean(np.log([each.confidence for each in own]))))


@pytest.mark.parametrize("seed", range(10))
def test_the_path_is_torchaudios(seed):
    torch = pytest.importorskip("torch")
    try:
        from torchaudio import functional
    except (ImportError, OSError) as error:  # its wheels want the libraries of CUDA
        pytest.skip(f"torchaudio does not load: {error}")
    random = np.random.default_rng(seed)
    text = "".join(random.choice(list("ABCD|"), size=random.integers(1, 30)))
    targets = [TOKENS.index(letter) for letter in text]
    logits = (3 * random.standard_normal((90, len(TOKENS)))).astype(np.float32)
    logp = torch.log_softmax(torch.from_numpy(logits), -1)
    aligned, _ = functional.forced_align(logp[None], torch.tensor([targets], dtype=torch.int32), blank=0)
    theirs = functional.merge_tokens(aligned[0], torch.zeros(len(logits)), blank=0)
    found = native.Aligner(TOKENS, blank=0, phonemes=True).align(logits, " ".join(text))
    assert [(s.start_frame, s.end_frame) for s in found.tokens] == [(span.start, span.end) for span in theirs]


def test_a_star_takes_what_is_not_in_the_text():
    aligner = native.Aligner(TOKENS, blank=0, delimiter="|")
    path = [2, 3, 1, 4, 4, 5, 1, 2, 2]  # AB|CD|A
    logits = np.full((len(path), len(TOKENS)), -4.0, np.float32)
    logits[np.arange(len(path)), path] = 4.0
    words = aligner.align(logits, "ab * a").words
    assert [(word.text, word.start_frame, word.end_frame) for word in words if word.text != "*"] == [
        ("ab", 0, 2), ("a", 7, 9),
    ]  # fmt: skip
    left_out = aligner.align(logits, "ab [bb] cd a").words
    assert [word.text for word in left_out] == ["ab", "cd", "a"]
    assert [word.text for word in aligner.align(logits, "ab [cd] a").words] == ["ab", "cd", "a"]


@pytest.mark.parametrize(
    ("frames", "text", "message"),
    [
        (4, "aabb", "the text needs at least 6 frames and there are 4; expected less text, or more audio"),
        (0, "a", "the text needs at least 1 frames and there are 0"),
        (9, "axe", "the word 'axe' has 'x', which is no token"),
        (9, "", "there is no text to align; expected at least a word"),
    ],
)
def test_what_cannot_be_aligned_is_one_line(frames, text, message):
    with pytest.raises(native.DecodingError, match=message):
        native.Aligner(TOKENS, blank=0, delimiter="|").align(np.zeros((frames, len(TOKENS)), np.float32), text)

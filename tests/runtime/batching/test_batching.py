"""Clips of one caller: batches of like length, in order, within bounds, each failing alone."""

from __future__ import annotations

import threading
from itertools import count, islice

import numpy as np
import pytest

from support.paths import DEMO_AUDIO
from w2vc_runtime import AudioError, OptionError, load
from w2vc_runtime.batching.ahead import AHEAD, ahead
from w2vc_runtime.batching.buckets import MOST_PADDING, MOST_SECONDS, RUN_SECONDS, buckets, pays
from w2vc_runtime.batching.ordered import WINDOW_BATCHES, WINDOW_SAMPLES, outcomes
from w2vc_runtime.cli import main as run_cli


class Steps:
    """A model whose answer is the length of a clip; a source is the length that it has."""

    def __init__(self, broken=()):
        self.broken, self.read, self.batches, self.held, self.most = broken, [], [], 0, 0

    def read_or_fail(self, source):
        self.read.append(source)
        if source in self.broken:
            return AudioError(f"{source} is broken")
        self.held += source
        self.most = max(self.most, self.held)
        return np.zeros(source, np.float32)

    def answer_unread(self, problem):
        return problem

    def answer_or_fail(self, clips, names):
        self.batches.append([len(clip) for clip in clips])
        self.held -= sum(self.batches[-1])
        return [len(clip) for clip in clips]

    def shares(self, lengths):
        return pays(lengths, 16000, cpu=False)


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_answers_come_in_order_and_a_bad_clip_fails_alone(jobs, batch_size):
    lengths = [int(each) for each in np.random.default_rng(0).permutation(np.arange(100, 500))]
    steps = Steps(broken={lengths[3], lengths[200]})
    found = list(outcomes(steps, iter(lengths), batch_size, jobs))
    assert [str(each) if isinstance(each, Exception) else each for each in found] == [
        f"{each} is broken" if each in steps.broken else each for each in lengths
    ]


def test_sources_without_end_are_read_as_they_are_wanted():
    steps = Steps()
    found = outcomes(steps, (1000 + index % 7 for index in count()), 4, 1)
    assert list(islice(found, 5)) == [1000, 1001, 1002, 1003, 1004]
    assert len(steps.read) == 4 * WINDOW_BATCHES
    steps = Steps()
    found = outcomes(steps, (WINDOW_SAMPLES // 10 for _ in count()), 4, 1)
    next(found)
    assert len(steps.read) == 11
    steps = Steps()
    next(outcomes(steps, (1000 for _ in count()), 1, 1))
    assert len(steps.read) == 1, "without batches, an answer waits for no other recording"


def test_mixed_lengths_are_padded_by_less_than_a_tenth():
    steps = Steps()
    lengths = [int(each) for each in np.random.default_rng(1).uniform(8000, 240_000, 1000)]
    list(outcomes(steps, lengths, 8, 1))
    padded = sum(max(batch) * len(batch) for batch in steps.batches)
    assert sum(map(sum, steps.batches)) == sum(lengths)
    assert padded / sum(lengths) - 1 < 0.1
    assert steps.most <= WINDOW_SAMPLES + 240_000
    assert len(steps.batches) < 1.3 * len(lengths) / 8


def test_buckets_hold_each_clip_once_within_padding_size_and_memory():
    lengths = [int(each) for each in np.random.default_rng(2).integers(1, 1000, 200)]
    found = list(buckets(lengths, 5, lambda each: max(each) * len(each) < 3000 and pays(each, 100, cpu=False)))
    assert sorted(index for bucket in found for index in bucket) == list(range(200))
    for bucket in found:
        each = [lengths[index] for index in bucket]
        assert len(bucket) <= 5
        assert len(bucket) == 1 or max(each) * len(each) <= min(3000, (1 + MOST_PADDING) * sum(each))


@pytest.mark.parametrize(
    ("seconds", "cpu", "gpu"),
    [
        ((5,), True, True),
        ((1, 1, 1, 1), True, True),
        ((2, 1.6), True, True),
        ((2, 1.4), False, True),  # more padding than a run costs
        ((0.7, 0.2), True, False),
        ((1, 0.6, 0.6, 0.6), True, False),
        ((9, 9), False, True),  # each keeps a processor busy
    ],
)
def test_where_a_batch_pays(seconds, cpu, gpu):
    lengths = [round(16000 * each) for each in seconds]
    assert (pays(lengths, 16000, cpu=True), pays(lengths, 16000, cpu=False)) == (cpu, gpu)


def test_on_a_cpu_no_batch_computes_more_than_its_runs_alone():
    """By the cost that the rule goes by: a run is as long as what is computed in it, and half a second."""
    lengths = [int(each) for each in np.random.default_rng(3).uniform(3000, 240_000, 400)]
    found = list(buckets(lengths, 8, lambda each: pays(each, 16000, cpu=True)))
    assert len(found) < 400
    for bucket in found:
        each = [lengths[index] / 16000 for index in bucket]
        assert max(each) * len(each) + RUN_SECONDS <= sum(each) + len(each) * RUN_SECONDS
        assert len(each) == 1 or max(each) * len(each) <= MOST_SECONDS


def test_threads_read_ahead_within_bounds():
    begun = []
    blocked = threading.Event()

    def make(source):
        begun.append(source)
        if source:
            blocked.wait(10)
        return -source

    found = ahead(make, count(), 3)
    assert next(found) == (0, 0)
    assert len(begun) <= 3 * AHEAD + 1
    blocked.set()
    assert [next(found)[1] for _ in range(20)] == [-each for each in range(1, 21)]
    found.close()
    assert len(begun) <= 21 + 3 * AHEAD


@pytest.mark.parametrize(("name", "options"), [("batch_size", (0, 1)), ("jobs", (1, 0))])
def test_numbers_below_one_are_refused(name, options):
    with pytest.raises(OptionError, match=f"{name} must be at least 1, got 0"):
        list(outcomes(Steps(), [1], *options))


def test_the_public_steps_make_the_answer(digits):
    model = load(digits["fp32"], "cpu")
    clips = [model.read(path) for path in sorted(DEMO_AUDIO.glob("*.flac"))]
    rows = model.split(model.run(model.feed(clips)), clips)
    assert [model.answer(row, len(clip)) for row, clip in zip(rows, clips)] == model.infer(clips)


def test_folders_and_threads_on_the_command_line(digits, tmp_path, capsys):
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    for name in ("b.flac", "a.flac"):
        (folder / name).write_bytes((DEMO_AUDIO / "seven-two-nine.flac").read_bytes())
    (folder / "notes.txt").write_text("no recording")
    arguments = ["run", str(digits["fp32"]), str(tmp_path / "in"), "--provider", "cpu"]
    assert run_cli.main([*arguments, "-r", "--jobs", "2", "--batch-size", "2"]) == 0
    assert capsys.readouterr().out == "".join(f"{folder}/{name}.flac: seven two nine\n" for name in "ab")
    assert run_cli.main([*arguments, "-r", "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "deep" / "a.txt").read_text() == "seven two nine\n"
    assert run_cli.main(arguments) == 2
    assert "is a directory; expected an audio file" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run_cli.main(["run", str(digits["fp32"]), str(tmp_path / "empty"), "-r"]) == 2
    assert "holds no recordings" in capsys.readouterr().err
    assert run_cli.main([*arguments, "-r", "--jobs", "0"]) == 2
    assert "--jobs must be at least 1, got 0" in capsys.readouterr().err

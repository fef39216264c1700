"""Recordings of any length: cut, joined and decoded as if they were whole."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from support.paths import DEMO_AUDIO
from w2vc_runtime import AudioError, OptionError, load
from w2vc_runtime.audio.blocks import read_blocks
from w2vc_runtime.audio.reader import read_audio
from w2vc_runtime.bundle import Ctc, Frames, Interface, Labels, Tensor
from w2vc_runtime.chunking.chunker import Chunker
from w2vc_runtime.chunking.collect import COLLECTORS, POOLED, collector_for
from w2vc_runtime.chunking.plan import FRAMEWISE, ChunkOptions, Plan, plan_for
from w2vc_runtime.chunking.run import answer, chunks, pieces
from w2vc_runtime.cli import main as run_cli
from w2vc_runtime.decoding import GreedyDecoder
from w2vc_runtime.features import Waveform
from w2vc_runtime.results import Embedding, HiddenStates, Windows

RATE = 16000
SPEECH = DEMO_AUDIO / "seven-two-nine.flac"
LETTERS = ("<pad>", "|", "a", "b", "c")


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


def blocks_of(samples: np.ndarray, seed: int = 0):
    random = np.random.default_rng(seed)
    while len(samples):
        size = int(random.integers(1, 9000))
        yield samples[:size]
        samples = samples[size:]


class Local:
    """A model whose frames depend on the samples they stand for and no others, so that joined chunks are the whole."""

    def __init__(self, head: str, field: int = 400, step: int = 320) -> None:
        frames = {"frames": Frames(field, step)}
        shape = ("batch", "frames", 5) if head in FRAMEWISE else ("batch", 5)
        self.names = {
            "base": ("last_hidden_state",), "pretraining": ("projected_states", "projected_quantized_states"),
            "xvector": ("logits", "embeddings"),
        }.get(head, ("logits",))  # fmt: skip
        outputs = [Tensor(name, "float32", shape) for name in self.names]
        if head == "pretraining":
            outputs.append(Tensor("codevector_perplexity", "float32", ("batch",)))
        self.interface = Interface(Waveform(RATE, False, True), "padding-invariant", (), tuple(outputs), frames, field)
        self.manifest = SimpleNamespace(
            head=head, frames=frames, outputs=tuple(outputs), features=self.interface.features, shortest=field,
            ctc=Ctc(LETTERS, 0, "|"), labels=Labels(tuple(LETTERS), "single_label_classification"),
        )  # fmt: skip
        self.field, self.step, self.longest = field, step, 0

    def outputs(self, clips):
        (clip,) = clips
        self.longest = max(self.longest, len(clip))
        count = self.interface.frames["frames"].count(len(clip))
        windows = np.lib.stride_tricks.sliding_window_view(clip, self.field)[:: self.step][:count]
        values = np.stack([windows[:, 37 * each] for each in range(5)], axis=1)
        if self.manifest.head not in FRAMEWISE:
            values = values.mean(axis=0)
        rows = dict.fromkeys(self.names, values)
        return [{**rows, "codevector_perplexity": np.float32(1)} if "projected_states" in rows else rows]


def seconds(plan: Plan, samples: int) -> float:
    return samples / plan.sampling_rate


@pytest.mark.parametrize("head", COLLECTORS)
@pytest.mark.parametrize("options", [ChunkOptions(1.0), ChunkOptions(0.5, 0.1), ChunkOptions(2.0, 0.0)])
def test_joined_chunks_are_the_whole(head, options):
    """The oracle is the same model on the recording as a whole."""
    if head not in FRAMEWISE:
        options = ChunkOptions(options.chunk_seconds)
    samples = noise(int(7.3 * RATE) + 17)
    model = Local(head)
    plan = plan_for(model.manifest, options, None)
    found = answer(model, (blocks_of(samples), RATE), plan, collector_for(model.manifest))
    assert model.longest <= plan.chunk + plan.reserve
    assert found.duration == len(samples) / RATE
    (whole,) = model.outputs([samples])
    expected = collector_for(model.manifest)
    expected.add(whole, 0.0, found.duration)
    expected.end()
    if not isinstance(found, Windows):
        expected_dict = expected.result(found.duration).to_dict()
        assert found.to_dict() == expected_dict
        return
    starts, ends = [each.start for each in found.windows], [each.end for each in found.windows]
    assert starts[1:] == ends[:-1]
    assert (starts[0], ends[-1], len(starts) > 2) == (0.0, found.duration, True)
    for each in found.windows:
        if head in FRAMEWISE:
            first = round(each.start * RATE) // model.step
            key = model.names[0]
            states = each.result.last if isinstance(each.result, HiddenStates) else each.result.projected_states
            np.testing.assert_array_equal(states, whole[key][first : first + len(states)])
        else:
            (own,) = model.outputs([samples[round(each.start * RATE) : round(each.end * RATE)]])
            one = COLLECTORS[head](model.manifest, True).add(own, each.start, each.end)[0]
            assert each.to_dict() == one.to_dict()


@pytest.mark.parametrize("head", POOLED)
def test_pooled_answers_are_means(head):
    model = Local(head)
    samples = noise(5 * RATE)
    plan = plan_for(model.manifest, ChunkOptions(1.0, pooled=True), None)
    found = answer(model, (samples, RATE), plan, collector_for(model.manifest, pooled=True))
    (whole,) = model.outputs([samples])
    if isinstance(found, HiddenStates):
        np.testing.assert_allclose(found.last, whole["last_hidden_state"].mean(axis=0, keepdims=True), atol=1e-6)
    elif isinstance(found, Embedding):
        rows = [model.outputs([samples[at : at + RATE]])[0]["embeddings"] for at in range(0, 5 * RATE, RATE)]
        np.testing.assert_allclose(found.vector, np.mean(rows, axis=0), atol=1e-6)
    else:
        assert sum(each.score for each in found.scores) == pytest.approx(1)
    for head in set(COLLECTORS) - set(POOLED):
        with pytest.raises(OptionError, match="has no pooled answer"):
            collector_for(Local(head).manifest, pooled=True)


def test_cuts_are_where_it_is_quiet():
    samples = noise(RATE * 20)
    for at in (3.6, 7.4, 11.2):
        samples[int(at * RATE) : int((at + 0.3) * RATE)] *= 1e-3
    plan = Plan(RATE, 320, 5 * RATE, RATE // 2, 400, quiet=True)
    chunker = Chunker(plan)
    chunks = [chunk for block in blocks_of(samples) for chunk in chunker.push(block)] + chunker.end()
    for at, chunk in zip((3.6, 7.4, 11.2), chunks):
        assert at <= chunk.last / RATE <= at + 0.3
    loud = Chunker(Plan(RATE, 320, 5 * RATE, RATE // 2, 400, quiet=False))
    assert loud.push(samples)[0].last == 4.5 * RATE


def test_cuts_do_not_depend_on_the_blocks():
    """With so little context, a pause reaches past the chunk; there, at two seconds, it is quiet."""
    samples = noise(RATE * 20)
    samples[2 * RATE : 2 * RATE + 2000] *= 1e-3
    plan = Plan(RATE, 320, 2 * RATE, 320, 400, quiet=True)
    cuts = set()
    for blocks in ([samples], np.split(samples, range(7, len(samples), 61))):
        chunker = Chunker(plan)
        cuts.add(tuple(chunk.last for block in blocks for chunk in chunker.push(block)))
    assert len(cuts) == 1


def test_what_fits_one_chunk_is_one_chunk():
    plan = Plan(RATE, 320, RATE, 3200, 400, quiet=True)
    for extra, count in ((0, 1), (1, 2)):
        chunker = Chunker(plan)
        chunks = chunker.push(noise(RATE + extra)) + chunker.end()
        assert len(chunks) == count
    assert all(len(chunk.samples) <= plan.chunk for chunk in chunks)
    assert Chunker(plan).end() == []


@pytest.mark.parametrize("kind", ["characters", "phonemes"])
def test_logits_in_pieces_decode_as_at_once(kind):
    decoder = GreedyDecoder(Ctc(LETTERS, 0, "|", kind=kind))
    random = np.random.default_rng(3)
    for trial in range(200):
        # Few tokens, each for some frames, so that cuts fall inside of them.
        logits = np.repeat(random.standard_normal((12, 5)), random.integers(1, 4, 12), axis=0) * 3
        whole = decoder.decode(logits)
        stream, words, texts = decoder.stream(), [], []
        cuts = np.sort(random.integers(0, len(logits) + 1, trial % 6))
        for piece in np.split(logits, cuts):
            words += stream.push(piece)
            texts.append(stream.text)
        words += stream.end()
        assert tuple(words) == whole.words
        assert stream.text == texts[-1] == whole.text


def test_words_that_came_out_are_those_of_the_end():
    model = Local("ctc")
    samples = noise(6 * RATE)
    plan = plan_for(model.manifest, ChunkOptions(1.0), None)
    collector = collector_for(model.manifest)
    came = [word for new in pieces(model, (blocks_of(samples), RATE), plan, collector) for word in new]
    assert tuple(came) == collector.result(6.0).words
    assert len(came) > 3


@pytest.mark.parametrize("rate", [16000, 8000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_are_the_recording(rate, channels, tmp_path):
    path = tmp_path / "speech.wav"
    samples = np.sin(np.arange(rate * 9) / 30)[:, None] * np.linspace(0.2, 0.5, channels)
    soundfile.write(path, samples, rate)
    expected = read_audio(path, RATE)
    for source in (path, path.read_bytes(), (soundfile.read(path, dtype="float32")[0], rate)):
        found = np.concatenate(list(read_blocks(source, RATE)))
        assert abs(len(found) - len(expected)) <= 1
        shared = min(len(found), len(expected))
        np.testing.assert_allclose(found[:shared], expected[:shared], atol=1e-4)


def test_blocks_refuse_what_is_no_sound(tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF no sound at all")
    for source, problem in (
        (bad, "is not audio"), ((iter([np.array([np.nan])]), RATE), "NaN"),
        ((iter([np.array(["a"])]), RATE), "floating point"), ((iter([]), 10), "sample rate of 10 Hz"),
    ):  # fmt: skip
        with pytest.raises(AudioError, match=problem):
            list(read_blocks(source, RATE))
    model = Local("ctc")
    plan = plan_for(model.manifest, ChunkOptions(1.0), None)
    for blocks, problem in (([], "is empty"), ([noise(100)], "too short: 100 samples")):
        with pytest.raises(AudioError, match=problem):
            answer(model, (iter(blocks), RATE), plan, collector_for(model.manifest))


def test_a_plan_follows_the_model_and_the_memory():
    manifest = Local("ctc").manifest
    plan = plan_for(manifest, ChunkOptions(), None)
    assert (plan.chunk, plan.context, plan.quiet) == (20 * RATE, 166 * 320, True)
    small = plan_for(manifest, ChunkOptions(), 4 * RATE)
    assert small.chunk == 4 * RATE
    assert plan_for(manifest, ChunkOptions(), 0).chunk >= manifest.shortest
    adapter = plan_for(Local("ctc", field=4000, step=2560).manifest, ChunkOptions(3.0, 0.0), None)
    assert adapter.context >= 4000 - 2560
    assert adapter.chunk % 2560 == adapter.context % 2560 == 0
    with pytest.raises(OptionError, match="have no room between contexts"):
        plan_for(manifest, ChunkOptions(1.0, 0.5), None)
    with pytest.raises(OptionError, match="answers for a whole window"):
        plan_for(Local("xvector").manifest, ChunkOptions(1.0, 0.5), None)
    for wrong in ({"chunk_seconds": 0}, {"chunk_seconds": float("nan")}, {"context_seconds": -1}):
        with pytest.raises(OptionError):
            ChunkOptions(**wrong)


def test_a_recording_in_chunks_says_what_it_says_as_a_whole(digits, capsys):
    model = load(digits["fp32"], "cpu")
    path = DEMO_AUDIO / "three-one-four-one-five.flac"
    whole = model(path)
    assert model.chunked(path) == whole
    cut = model.chunked(path, ChunkOptions(1.2, 0.3))
    assert cut.text == whole.text
    assert [word.start for word in cut.words] == pytest.approx([word.start for word in whole.words], abs=0.04)
    assert tuple(model.stream(path, ChunkOptions(1.2, 0.3))) == cut.words
    assert run_cli.main(["run", str(digits["fp32"]), str(path), "--provider", "cpu", "--chunk-seconds", "1.2"]) == 0
    assert capsys.readouterr().out == f"{whole.text}\n"
    arguments = ["run", str(digits["fp32"]), str(path), "--provider", "cpu"]
    assert run_cli.main([*arguments, "--chunk-seconds", "1", "--context-seconds", "1"]) == 2
    assert "have no room between contexts" in capsys.readouterr().err
    assert run_cli.main([*arguments, "--pooled", "--chunk-seconds", "1"]) == 2
    assert "has no pooled answer" in capsys.readouterr().err


class Bounded(Local):
    """A model whose frames hear eight frames on each side, as a context of 0.2 s has them."""

    REACH = 8

    def outputs(self, clips):
        (row,) = super().outputs(clips)
        padded = np.pad(row["logits"], ((self.REACH, self.REACH), (0, 0)))
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * self.REACH + 1, axis=0)
        return [{"logits": around.mean(axis=-1) * 40}]


def words_in_chunks(model: Bounded, samples: np.ndarray, plan: Plan, late: int):
    """The words of a recording in chunks, each of which is cut so many frames late; and where the joins are."""
    collector, joins = collector_for(model.manifest), []
    for chunk in chunks(blocks_of(samples), plan, "noise"):
        (outputs,) = model.outputs([chunk.samples])
        moved = dataclasses.replace(chunk, first=chunk.first + late * plan.step) if joins else chunk
        collector.add(moved.cut(outputs, model.interface), 0.0, 1.0)
        joins.append(chunk.last / RATE)
    collector.end()
    return collector.result(len(samples) / RATE).words, joins[:-1]


@pytest.mark.parametrize(("late", "right"), [(0, True), (3, False), (-3, False)])
def test_words_at_joins_are_where_the_whole_has_them(late, right):
    """Within a frame; frames that are dropped or said twice are noticed."""
    model = Bounded("ctc")
    samples = noise(30 * RATE, 5)
    plan = plan_for(model.manifest, ChunkOptions(2.0, 0.2), None)
    assert plan.context >= (Bounded.REACH * model.step + model.field - model.step)
    words, joins = words_in_chunks(model, samples, plan, late)
    (whole,) = model.outputs([samples])
    expected = GreedyDecoder(model.manifest.ctc).decode(whole["logits"]).words
    frame = model.step / RATE
    assert len(joins) > 10
    assert len([word for word in expected for join in joins if word.start * frame <= join < word.end * frame]) > 3
    same = len(words) == len(expected) and all(
        each.text == span.text
        and abs(each.start - span.start * frame) <= frame
        and abs(each.end - span.end * frame) <= frame
        for each, span in zip(words, expected)
    )
    assert same == right

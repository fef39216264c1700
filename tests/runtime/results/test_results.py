"""What each head answers, in Python and on the command line."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import Wav2Vec2PhonemeCTCTokenizer

import w2vc_runtime
from support.oracle import CLASSES, TINY, answer, build, clips, save, tiny
from support.parity import exported
from w2vc_runtime import Classification, Embedding, FrameLabels, HiddenStates, Model, OptionError, Pretraining, load
from w2vc_runtime.cli import main as run_cli

NAMES = ("yes", "no", "perhaps")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> dict[str, Path]:
    """One bundle for each head; the base one of a Wav2Vec2-BERT, the others of Wav2Vec2."""
    folder = tmp_path_factory.mktemp("heads")
    for head in CLASSES:
        cell = ("bert-relative_key", "log-mel", head) if head == "base" else ("wav2vec2", "group", head)
        exported(tiny(*cell)[1], head, "padding-invariant", folder / head)
    return {head: folder / head for head in CLASSES}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("audio")
    paths = [str(folder / name) for name in ("one.wav", "two.wav")]
    for path, clip in zip(paths, clips(24000, 17000)):
        soundfile.write(path, 0.1 * clip, 16000)
    return paths


def hugging_face(head: str, model: Model, path: str) -> dict[str, np.ndarray]:
    values = torch.from_numpy(model.manifest.features([model.read(path)], "hf-exact")["input_values"])
    return answer(tiny("wav2vec2", "group", head)[0], head, values, None)


def test_classification(bundles, recordings):
    model = load(bundles["sequence-classification"], "cpu")
    result = model(recordings[0])
    assert isinstance(result, Classification)
    expected = torch.from_numpy(hugging_face("sequence-classification", model, recordings[0])["logits"][0]).softmax(-1)
    assert {each.label: each.score for each in result.scores} == pytest.approx(dict(zip(NAMES, expected.tolist())))
    assert [each.score for each in result.scores] == sorted((each.score for each in result.scores), reverse=True)
    assert (result.label, result.labels) == (NAMES[int(expected.argmax())], (result.label,))
    assert result.duration == 1.5


@pytest.mark.parametrize(("problem", "labels"), [("multi_label_classification", 3), ("regression", 2), (None, 1)])
def test_multi_label_and_regression(problem, labels, tmp_path, recordings):
    config = {**TINY, "id2label": {i: f"class {i}" for i in range(labels)}, "problem_type": problem}
    theirs = build("wav2vec2", "sequence-classification", **config)
    model = exported(save(theirs, tmp_path / "c"), "sequence-classification", "padding-invariant", tmp_path / "b")
    result = model(recordings[0])
    values = torch.from_numpy(model.manifest.features([model.read(recordings[0])], "hf-exact")["input_values"])
    logits = torch.from_numpy(answer(theirs, "sequence-classification", values, None)["logits"][0])
    if problem == "multi_label_classification":
        expected = logits.sigmoid()
        assert set(result.labels) == {f"class {i}" for i in range(labels) if expected[i] >= 0.5}
    else:  # one label without a problem type is a number, as in Hugging Face
        expected = logits
        assert result.problem_type == "regression"
        assert [each.label for each in result.scores] == list(config["id2label"].values())
        assert "labels" not in result.to_dict()
    found = {each.label: each.score for each in result.scores}
    assert found == pytest.approx({f"class {i}": float(v) for i, v in enumerate(expected)}, abs=1e-5)


def test_frame_labels(bundles, recordings):
    model = load(bundles["frame-classification"], "cpu")
    result = model(recordings[1])
    assert isinstance(result, FrameLabels)
    logits = hugging_face("frame-classification", model, recordings[1])["logits"][0]
    expected = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(result.scores, expected, atol=1e-5)
    np.testing.assert_allclose(result.times, np.arange(len(logits)) * 0.02)
    held = np.zeros(expected.shape, dtype=bool)
    for segment in result.segments:
        frames = slice(round(segment.start / 0.02), round(segment.end / 0.02))
        index = result.labels.index(segment.label)
        held[frames, index] = True
        assert segment.score == pytest.approx(expected[frames, index].mean(), abs=1e-4)
    np.testing.assert_array_equal(held, expected >= 0.5)
    assert [s.start for s in result.segments] == sorted(s.start for s in result.segments)


def test_frame_labels_of_exclusive_classes():
    scores = np.array([[0.4, 0.35, 0.25], [0.3, 0.4, 0.3], [0.2, 0.5, 0.3]], dtype=np.float32)
    result = FrameLabels(NAMES, scores, "single_label_classification", 0.5, 1.5)
    assert [(s.label, s.start, s.end) for s in result.segments] == [("yes", 0, 0.5), ("no", 0.5, 1.5)]
    assert result.segments[1].score == pytest.approx(0.45)


def test_embedding(bundles, recordings):
    model = load(bundles["xvector"], "cpu")
    one, two = model.batch(recordings)
    assert isinstance(one, Embedding)
    expected = [hugging_face("xvector", model, path)["embeddings"][0] for path in recordings]
    np.testing.assert_allclose(one.vector, expected[0], atol=1e-4)
    cosine = np.dot(*expected) / np.linalg.norm(expected[0]) / np.linalg.norm(expected[1])
    assert one.similarity(two) == pytest.approx(cosine, abs=1e-4)
    assert one.similarity(one) == pytest.approx(1.0)


def test_hidden_states(bundles, recordings):
    result = load(bundles["base"], "cpu")(recordings[0])
    assert isinstance(result, HiddenStates)
    assert set(result.layers) == {0, 1, 2}
    np.testing.assert_allclose(result.layers[2], result.last, atol=1e-6)  # this family has no norm after its layers
    assert np.abs(result.layers[1] - result.last).max() > 0.1
    assert result.times[-1] + 0.02 <= result.duration == 1.5


def test_pretraining_with_and_without_masked_frames(bundles):
    model = load(bundles["pretraining"], "cpu")
    batch = clips(16000, 9000)
    plain, masked = model.infer(batch), [np.arange(49) % 2 == 0, np.arange(27) % 5 == 0]
    guessed = model.infer(batch, mask_time_indices=masked)
    for before, after, mask in zip(plain, guessed, masked):
        assert isinstance(after, Pretraining)
        assert np.abs(before.projected_states - after.projected_states).max() > 0.1
        np.testing.assert_allclose(before.projected_quantized_states, after.projected_quantized_states, atol=1e-5)
        assert after.similarity is not None
        assert after.similarity.shape == mask.shape
        assert 0 < after.codevector_perplexity < before.codevector_perplexity
    with pytest.raises(OptionError, match="one mask a clip; clip 1 has 27 frames"):
        model.infer(batch, mask_time_indices=[masked[0], masked[0]])
    with pytest.raises(OptionError, match="is for head 'pretraining'; this bundle has head 'ctc'"):
        load(bundles["ctc"], "cpu").infer(batch, mask_time_indices=masked)


@pytest.mark.parametrize("head", CLASSES)
def test_formats_of_every_head(head, bundles, recordings, capsys, tmp_path):
    bundle = str(bundles[head])
    shown = {}
    for name in ("text", "json", "csv"):
        assert run_cli.main(["run", bundle, *recordings, "--format", name, "--provider", "cpu"]) == 0
        shown[name] = capsys.readouterr().out
    results = [load(bundle, "cpu")(path) for path in recordings]
    texts = [f"{path}: {line}" for path, r in zip(recordings, results) for line in r.to_text().split("\n")]
    assert shown["text"].splitlines() == texts
    answers = [json.loads(line) for line in shown["json"].splitlines()]
    assert [answer.pop("file") for answer in answers] == recordings
    assert [set(answer) for answer in answers] == [set(result.to_dict()) for result in results]
    header, *rows = csv.reader(io.StringIO(shown["csv"]))
    assert header == ["file", *results[0].table()[0]]
    expected = [[path, *map(str, row)] for path, r in zip(recordings, results) for row in r.table()[1]]
    assert len(rows) == len(expected)
    assert {len(row) for row in rows} <= {len(header)}
    assert {row[0] for row in rows} <= set(recordings)

    folder = tmp_path / "answers"
    assert run_cli.main(["run", bundle, *recordings, "--format", "csv", "-o", str(folder)]) == 0
    assert (folder / "one.csv").read_text().splitlines()[0] == ",".join(header[1:])
    capsys.readouterr()
    if head != "ctc":
        assert run_cli.main(["run", bundle, recordings[0], "--format", "srt"]) == 2
        message = f"w2vc: --format srt is for transcripts; head {head!r} has formats text, json, csv\n"
        assert capsys.readouterr().err == message
    assert run_cli.main(["info", bundle]) == 0
    assert f"head {head}" in capsys.readouterr().out


def test_every_result_type_is_public():
    kinds = [Classification, Embedding, FrameLabels, HiddenStates, Pretraining]
    assert all(getattr(w2vc_runtime, kind.__name__) is kind for kind in kinds)


def test_phonemes(tmp_path, recordings):
    """A phoneme tokenizer goes the whole way, from the checkpoint to words."""
    checkpoint = Path(shutil.copytree(tiny("wav2vec2", "group", "ctc")[1], tmp_path / "c"))
    settings = json.loads((checkpoint / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer", "do_phonemize": False, "word_delimiter_token": None}
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(settings))
    theirs = Wav2Vec2PhonemeCTCTokenizer.from_pretrained(checkpoint)
    model = exported(checkpoint, "ctc", "padding-invariant", tmp_path / "b")
    ids = model.outputs([model.read(recordings[0])])[0]["logits"].argmax(-1)
    merged = ids[np.insert(ids[1:] != ids[:-1], 0, True)]  # then special tokens cannot part what was one
    transcript = model(recordings[0])
    assert transcript.text == theirs.decode(merged, skip_special_tokens=True, group_tokens=False)
    assert [word.text for word in transcript.words] == transcript.text.split()

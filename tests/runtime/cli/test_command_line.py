"""The two commands: what they print, what they exit with, and one line for every bad input."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.commands import complaints, refused
from support.oracle import TINY, build, save, tiny
from support.paths import DEMO_AUDIO, TRANSCRIPTS
from w2vc_exporter import cli as export_cli
from w2vc_runtime.cli import main as run_cli

RECORDING, SPOKEN = next(iter(TRANSCRIPTS.items()))
RECORDING = str(DEMO_AUDIO / RECORDING)


@pytest.fixture
def bundle(digits, tmp_path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(digits["fp16"], tmp_path / "bundle"))


def test_the_demo_recordings_are_transcribed(digits, capsys):
    assert run_cli.main(["run", str(digits["fp16"]), *(str(DEMO_AUDIO / name) for name in TRANSCRIPTS)]) == 0
    expected = [f"{DEMO_AUDIO / name}: {text}" for name, text in TRANSCRIPTS.items()]
    assert capsys.readouterr().out.splitlines() == expected


def test_formats(digits, capsys):
    shown = {}
    for name in ("text", "json", "srt", "vtt"):
        assert run_cli.main(["run", str(digits["fp16"]), RECORDING, "--format", name]) == 0
        shown[name] = capsys.readouterr().out
    assert shown["text"] == SPOKEN + "\n"
    answer = json.loads(shown["json"])
    assert (answer["file"], answer["text"]) == (RECORDING, SPOKEN)
    assert [word["text"] for word in answer["words"]] == SPOKEN.split()
    assert all(0 <= w["start"] < w["end"] <= answer["duration"] + 0.03 for w in answer["words"])
    assert all(0 < w["confidence"] <= 1 for w in answer["words"])
    assert shown["srt"].startswith("1\n00:00:0")
    assert shown["vtt"].startswith("WEBVTT\n\n00:00:0")
    assert SPOKEN.split()[0] in shown["srt"]


def test_one_bad_file_fails_alone(digits, tmp_path, capsys, tone):
    speech, rate = soundfile.read(RECORDING)
    empty, nan, text = tmp_path / "empty.wav", tmp_path / "nan.wav", tmp_path / "notes.txt"
    no_samples, two_samples, silent = tmp_path / "none.wav", tmp_path / "two.wav", tmp_path / "silent.wav"
    good = {"8bit.wav": "PCM_U8", "24bit.wav": "PCM_24", "stereo.wav": "PCM_16", "8khz.wav": "PCM_16"}
    empty.touch()
    text.write_text("no sound in here")
    soundfile.write(nan, np.where(np.arange(len(speech)) == 99, np.nan, speech), rate, subtype="FLOAT")
    soundfile.write(no_samples, np.zeros(0), rate)
    soundfile.write(two_samples, speech[:2], rate)
    soundfile.write(silent, np.zeros(rate), rate)
    for name, subtype in good.items():
        samples = speech[::2] if name == "8khz.wav" else np.stack([speech] * 2, 1) if name == "stereo.wav" else speech
        soundfile.write(tmp_path / name, samples, 8000 if name == "8khz.wav" else rate, subtype=subtype)
    files = [empty, nan, text, no_samples, two_samples, silent, tmp_path / "gone.wav", *(tmp_path / n for n in good)]

    for batch_size in ("1", "20"):
        code = run_cli.main(["run", str(digits["fp16"]), *map(str, files), "--batch-size", batch_size])
        captured = capsys.readouterr()
        assert code == 2
        answers = dict(line.split(": ") if ": " in line else (line[:-1], "") for line in captured.out.splitlines())
        assert list(answers) == [str(silent), *(str(tmp_path / name) for name in good)]
        assert answers[str(silent)] == ""
        assert [answers[str(tmp_path / name)] for name in ("8bit.wav", "24bit.wav", "stereo.wav")] == [SPOKEN] * 3
        assert len(answers[str(tmp_path / "8khz.wav")].split()) == len(SPOKEN.split())
        complaints = captured.err.splitlines()
        assert [line.split(": ", 1)[0] for line in complaints] == ["w2vc"] * 7
        for file, message in {
            empty: "is empty: it holds no bytes",
            nan: "holds NaN or infinite samples",
            text: "is not audio that can be read",
            no_samples: "is empty: it holds no samples",
            two_samples: "is too short: 2 samples; at least 25 ms are needed",
            silent: "is silent: every sample is zero",
            tmp_path / "gone.wav": "does not exist",
        }.items():
            assert any(line.startswith(f"w2vc: {file} {message}") for line in complaints), (file, complaints)


def test_output_directory(digits, tmp_path, capsys, tone):
    folder = tmp_path / "subtitles"
    assert run_cli.main(["run", str(digits["fp16"]), RECORDING, str(tone), "--format", "vtt", "-o", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} == {Path(RECORDING).stem + ".vtt", "tone.vtt"}
    assert (folder / "tone.vtt").read_text().startswith("WEBVTT")
    assert capsys.readouterr().out == ""


def test_run_refuses_what_it_cannot_do(digits, capsys, tmp_path, tone):
    bundle = digits["fp16"]
    line = refused(capsys, run_cli.main, "run", bundle, tone, RECORDING, "--format", "srt")
    assert "--format srt of several recordings needs -o DIR" in line
    assert "would both become" in refused(
        capsys, run_cli.main, "run", bundle, tone, tmp_path / "x" / "tone.wav", "-o", tmp_path / "out"
    )
    assert "is not a directory; -o needs one" in refused(capsys, run_cli.main, "run", bundle, tone, "-o", tone)
    assert "--batch-size must be at least 1" in refused(capsys, run_cli.main, "run", bundle, tone, "--batch-size", "0")
    assert "invalid choice: 'yaml'" in refused(capsys, run_cli.main, "run", bundle, tone, "--format", "yaml")
    assert "w2vc run --help" in refused(capsys, run_cli.main, "run", bundle)


def test_a_damaged_bundle_is_refused(bundle, capsys, tmp_path, tone):
    def message() -> str:
        return refused(capsys, run_cli.main, "run", bundle, tone)

    for name in ("manifest.json", "model_fp16.onnx", "vocab.json"):
        path = bundle / name
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[len(flipped) // 2] ^= 1
        path.write_bytes(flipped)
        assert f"{path} is damaged" in message()
        path.unlink()
        assert name in message()
        path.write_bytes(content)

    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"schema": 99}))
    assert "has manifest schema 99, and this w2vc reads schema 5; upgrade w2vc" in message()
    (bundle / "manifest.json").write_text("[]")
    assert "is not a manifest" in message()
    assert "is not a directory" in refused(capsys, run_cli.main, "run", tmp_path / "nowhere", tone)
    assert "has no manifest.json" in refused(capsys, run_cli.main, "info", tone.parent)


def test_every_flipped_byte_of_a_manifest_is_noticed(bundle, capsys):
    """But for the time of its making, which is stated to be free."""
    path = bundle / "manifest.json"
    content = path.read_bytes()
    free = range(content.index(b'"created"'), content.index(b"\n", content.index(b'"created"')))
    generator = np.random.default_rng(0)
    for position in generator.choice([i for i in range(len(content)) if i not in free], 60, replace=False):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(generator.integers(7))
        if flipped[position : position + 1].isspace() and content[position : position + 1].isspace():
            continue
        path.write_bytes(flipped)
        refused(capsys, run_cli.main, "info", bundle)


@pytest.mark.parametrize("main", [run_cli.main, export_cli.main])
def test_version(main, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.split()[1] == importlib.metadata.version("w2vc")


def test_info(digits, capsys):
    assert run_cli.main(["info", str(digits["fp16"])]) == 0
    shown = capsys.readouterr().out
    assert "wav2vec2-conformer, relative positions, head ctc" in shown
    assert "fp16 (model_fp16.onnx, opset 20)" in shown
    assert run_cli.main(["info", str(digits["fp16"]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["head"] == "ctc"


def test_export_names_its_bundle_and_prints_a_summary(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert export_cli.main(["--head", "automatic-speech-recognition", "--fp16"]) == 0
    captured = capsys.readouterr()
    assert (tmp_path / "digits-ctc-fp16" / "manifest.json").is_file()
    assert complaints(captured.err) == []
    for word in ("bundle", "digits-ctc-fp16", "worst difference", "choices the same", "MB", "time"):
        assert word in captured.out
    line = refused(capsys, export_cli.main, "--head", "ctc", "--fp16")
    assert line == "w2vc-export: digits-ctc-fp16 exists; replace it with --force, or name another directory with -o"


def test_export_refuses_bad_checkpoints(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = tiny()[1]

    def message(checkpoint, *more) -> str:
        line = refused(capsys, export_cli.main, checkpoint, "--head", "ctc", "-o", tmp_path / "out", *more)
        assert not list(tmp_path.glob("out*")) + list(tmp_path.glob(".out*"))
        return line

    def damaged(name: str, content: bytes | None) -> Path:
        copy = Path(shutil.copytree(good, tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"))
        (copy / name).unlink()
        if content is not None:
            (copy / name).write_bytes(content)
        return copy

    weights = (good / "model.safetensors").read_bytes()
    assert "is not a directory" in message(tmp_path / "nowhere")
    assert "model_type 'bert' is not supported" in message(damaged("config.json", b'{"model_type": "bert"}'))
    assert "is damaged or truncated" in message(damaged("model.safetensors", weights[:-100]))
    assert "is damaged or truncated" in message(damaged("model.safetensors", weights[:5]))
    assert "has no preprocessor_config.json" in message(damaged("preprocessor_config.json", None))
    assert "'SpeechT5FeatureExtractor' is not supported" in message(
        damaged("preprocessor_config.json", b'{"feature_extractor_type": "SpeechT5FeatureExtractor"}')
    )
    assert "has no vocab.json" in message(damaged("vocab.json", None))
    assert "needs a target language; there: eng" in message(damaged("vocab.json", b'{"eng": {"a": 0}}'))
    assert "must map each token to its number" in message(damaged("vocab.json", b'{"a": "b"}'))
    assert "the tokenizer belongs to another model" in message(damaged("vocab.json", b'{"<pad>": 0, "a": 99}'))
    assert "is not valid JSON" in message(damaged("vocab.json", b"{"))
    assert "unknown head" not in message(damaged("vocab.json", None))
    assert "invalid choice: 'tts'" in refused(capsys, export_cli.main, good, "--head", "tts")


@pytest.mark.parametrize(
    ("head", "values", "arguments", "line"),
    [
        ("ctc", {"position_embeddings_type": "alibi"}, [], "position_embeddings_type 'alibi' is not supported"),
        ("ctc", {"hidden_act": "mish"}, [], "hidden_act 'mish' is not supported; supported: gelu"),
        ("ctc", {"conv_depthwise_kernel_size": 8}, [], "conv_depthwise_kernel_size must be odd, got 8"),
        ("ctc", {"conv_stride": [5, 2]}, [], "must have the same length, got 7, 7 and 2"),
        ("ctc", {"vocab_size": 5}, [], "wrong shape: lm_head.bias [32] instead of [5]"),
        ("ctc", {}, ["--target-lang", "fra"], "has no language adapters (adapter_attn_dim)"),
        ("ctc", {}, ["--hidden-states", "1"], "hidden states are given by head 'base', not by 'ctc'"),
        ("xvector", {}, [], "has no weights for head 'xvector'; it has: base, ctc"),
        ("base", {}, ["--hidden-states", "1,7"], "there is no hidden state 7; this model has 0"),
        ("base", {}, ["--hidden-states", "last"], "'last' is not 'all' and not numbers of layers such as 0,6,12"),
        ("base", {}, ["--target-lang", "fra"], "a target language belongs to head 'ctc', not to 'base'"),
        ("feature-extraction", {"model_type": "wav2vec2-bert"}, [], "the weights do not fit config.json; missing"),
    ],
)
def test_export_refuses_what_a_configuration_cannot_mean(head, values, arguments, line, tmp_path, capsys):
    copy = Path(shutil.copytree(tiny()[1], tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | values))
    shown = refused(capsys, export_cli.main, copy, "--head", head, "-o", tmp_path / "out", *arguments)
    assert line in shown
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_features_of_another_model_are_refused(tmp_path, capsys):
    copy = Path(shutil.copytree(tiny("bert-none", "log-mel", "base")[1], tmp_path / "copy"))
    extractor = copy / "preprocessor_config.json"
    values = json.loads(extractor.read_text())
    for changed, line in (
        ({"feature_extractor_type": "Wav2Vec2FeatureExtractor"}, "it needs SeamlessM4TFeatureExtractor"),
        ({"num_mel_bins": 40}, "the model takes ['batch', 'frames', 160]; they belong to different checkpoints"),
        ({"stride": 3}, "stride 3 is not supported; supported: 2"),
    ):
        extractor.write_text(json.dumps(values | changed))
        assert line in refused(capsys, export_cli.main, copy, "--head", "base", "-o", tmp_path / "out")


def test_a_wrong_head_is_refused(tmp_path, capsys):
    model = build("conformer-relative", **TINY)
    save(model, tmp_path / "model")
    model.wav2vec2_conformer.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "vocab.json").unlink()  # a model without a head has no tokenizer either
    line = refused(capsys, export_cli.main, tmp_path / "model", "--head", "ctc", "-o", tmp_path / "out")
    assert "has no weights for head 'ctc'" in line


def test_progress_on_a_terminal(tmp_path):
    """Steps are shown on a terminal, through a real pseudo-terminal."""
    controller, terminal = os.openpty()
    command = [sys.executable, "-m", "w2vc_exporter.cli", str(tiny()[1]), "--head", "ctc", "-o", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=terminal, stdout=subprocess.DEVNULL) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                shown += os.read(controller, 4096)
            except OSError:  # the other end is closed
                break
    os.close(controller)
    assert process.returncode == 0
    for step in (
        b"[1/5] reading",
        b"[2/5] tracing",
        b"[3/5] computing what PyTorch",
        b"[4/5] writing fp32",
        b"[4/5] writing fp32 and comparing: graph 1, case 1 of ",
        b"[5/5] measuring and reporting",
    ):
        assert step in shown


def test_a_closed_pipe_is_no_error(digits):
    command = f"{sys.executable} -m w2vc_runtime.cli.main run {digits['fp16']} {' '.join([RECORDING] * 3)} | true"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in result.stderr
    assert result.returncode == 0

"""A service that cuts by voice activity: transcripts, and no other heads."""

from __future__ import annotations

import subprocess

from support.paths import DEMO_AUDIO, ROOT
from support.service import COMMAND, Service, posted
from support.voice import made_voice_model
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import ChunkOptions, load

SPEECH = DEMO_AUDIO / "three-one-four-one-five.flac"


def test_transcripts_are_cut_by_it_and_classes_are_not(digits, tmp_path):
    keywords = export(ExportOptions("keywords", output=tmp_path / "keywords")).bundle
    vad = made_voice_model(tmp_path / "voice.onnx")
    expected = load(digits["fp32"], "cpu").chunked(SPEECH, ChunkOptions(1.2, vad=vad))
    settings = {"vad": str(vad), "chunk_seconds": 1.2}
    with (
        Service(f"digits={digits['fp32']}", f"keywords={keywords}", folder=tmp_path, **settings) as service,
        service.client() as client,
    ):
        found = posted(client, SPEECH.read_bytes(), response_format="verbose_json").json()
        assert found["text"] == expected.text
        assert [word["start"] for word in found["words"]] == [round(word.start, 3) for word in expected.words]
        four = (ROOT / "examples" / "digits" / "words" / "four.flac").read_bytes()
        assert posted(client, four, "keywords").status_code == 200


def test_a_wrong_file_keeps_it_from_starting(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("W2VC_SERVE_VAD", str(tmp_path / "none.onnx"))
    result = subprocess.run([*COMMAND, str(digits["fp32"]), "--port", "0"], capture_output=True, text=True, timeout=120)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert (result.returncode, len(lines)) == (2, 1)
    assert "there is no voice activity model; expected silero_vad.onnx" in lines[0]

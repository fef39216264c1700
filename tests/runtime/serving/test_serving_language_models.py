"""Language models that a request names: loaded once, each a search of its own, and one error for a wrong name."""

from __future__ import annotations

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from support.paths import DEMO_AUDIO
from support.service import COMMAND, Service, posted, wav
from w2vc_exporter import ExportOptions, export
from w2vc_runtime import load
from w2vc_runtime.audio.reader import read_audio
from w2vc_runtime.decoding import BeamOptions

pytest.importorskip("w2vc_native", reason="w2vc-native is not installed: pip install runtime/cpp/python")
CLEAR = DEMO_AUDIO / "seven-two-nine.flac"
# So noisy that the model is not sure of a word.
SPEECH = wav(read_audio(CLEAR, 16000) + np.random.default_rng(0).normal(0, 0.1, 23301))
# Of one order, in ARPA: one word is all that is ever said.
ARPA = "\\data\\\nngram 1=4\n\n\\1-grams:\n-3\t<unk>\n0\t<s>\n-1\t</s>\n-0.1\t{}\n\n\\end\\\n"
# So much weight that another word is hardly ever worth it.
WEIGHTS = {"alpha": 5.0, "beta": 0.0, "unk_score_offset": -50.0, "score_boundary": True}


def only(folder: Path, word: str) -> Path:
    """A language model that has one word."""
    inner = folder / word / "language_model"
    inner.mkdir(parents=True)
    (inner / "model.arpa").write_text(ARPA.format(word))
    (inner / "attrs.json").write_text(json.dumps(WEIGHTS))
    return folder / word


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The digits, with a language model of their own."""
    folder = tmp_path_factory.mktemp("own")
    return export(ExportOptions("digits", lm=only(folder, "two"), output=folder / "digits")).bundle


def test_a_request_names_its_language_model(bundle, tmp_path):
    places = {word: only(tmp_path, word) for word in ("nine", "seven")}

    def searched_with(**options) -> str:
        return load(bundle, "cpu", decoder="beam", beam=BeamOptions(**options))(SPEECH).text

    searched = {name: searched_with(lm=place) for name, place in places.items()}
    searched[""] = searched_with()
    hot = searched_with(lm=places["nine"], hotwords={"seven": 60.0})
    plain = load(bundle, "cpu")(SPEECH).text
    assert len({*searched.values(), hot, plain}) == 5, (searched, hot, plain)
    settings = {"language_models": [f"{name}={place}" for name, place in places.items()]}
    shutil.copytree(bundle, tmp_path / "bundle")
    with Service(f"digits={tmp_path / 'bundle'}", folder=tmp_path, **settings) as service, service.client() as client:
        for place in (*places.values(), tmp_path / "bundle"):
            shutil.rmtree(place)  # what is loaded is not read again

        def ask(number: int) -> bool:
            name = list(searched)[number % 3]
            fields = {"language_model": name} if name else {"decoder": "beam"}
            return posted(client, SPEECH, **fields).json()["text"] == searched[name]

        with ThreadPoolExecutor(6) as threads:
            assert all(threads.map(ask, range(24)))
        assert posted(client, SPEECH).json()["text"] == plain
        assert posted(client, SPEECH, language_model="nine", hotwords="seven=60").json()["text"] == hot
        assert client.get("/v1/models").json()["data"][0]["language_models"] == ["nine", "seven"]


def test_a_wrong_name_is_one_error(digits, tmp_path):
    settings = {"language_models": [f"nine={only(tmp_path, 'nine')}", f"capitals={only(tmp_path, 'ŠŽČ')}"]}
    with Service(f"digits={digits['fp32']}", folder=tmp_path, **settings) as service, service.client() as client:
        for name in ("ten", "../nine", "nine "):
            answer = posted(client, SPEECH, language_model=name)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (400, "language_model_not_found")
            assert error["message"] == "there is no language model of that name; there are: nine, capitals"
        for fields, message in (
            ({"language_model": "nine", "decoder": "greedy"}, "are for decoder 'beam'"),
            ({"language_model": "capitals"}, "cannot spell words such as 'ŠŽČ' of language model 'capitals'"),
            ({"hotwords": ",".join(["nine"] * 1001)}, "more than 1000 hotwords"),
        ):
            answer = posted(client, SPEECH, **fields)
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_value")
            assert message in answer.json()["error"]["message"]
            assert str(tmp_path) not in answer.text
        assert posted(client, SPEECH, language_model="nine").status_code == 200


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nine", "'nine' is not NAME=PATH"),
        ("a/b=x", "'a/b=x' is not NAME=PATH"),
        ("nine=/nowhere", "/nowhere: there is no language model"),
        ("nine=x:nine=y", "two language models have one name"),
    ],
)
def test_a_service_that_cannot_have_them_says_why(given, message, digits, monkeypatch):
    monkeypatch.setenv("W2VC_SERVE_LANGUAGE_MODELS", given)
    result = subprocess.run([*COMMAND, str(digits["fp32"]), "--port", "0"], capture_output=True, text=True, timeout=120)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert (result.returncode, len(lines)) == (2, 1)
    assert message in lines[0]

"""Checkpoints by hub id: fetched where the hub is reachable, refused in one line where it is not."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest

from support.oracle import tiny
from w2vc_exporter import ExportError, ExportOptions
from w2vc_exporter.checkpoint.hub import find_checkpoint
from w2vc_exporter.checkpoint.recipes import read_features


def test_a_hub_id_becomes_the_folder_of_its_files(monkeypatch):
    asked = {}

    def snapshot_download(name, allow_patterns):
        asked.update(name=name, patterns=allow_patterns)
        return str(tiny()[1])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert read_features(find_checkpoint(Path("facebook/wav2vec2-base-960h")), "input_values").sampling_rate == 16000
    assert asked["name"] == "facebook/wav2vec2-base-960h"
    assert {"config.json", "vocab.json", "*.safetensors"} <= set(asked["patterns"])
    # The bundle is named after the model, not after the hub's cache.
    assert ExportOptions(Path("facebook/wav2vec2-base-960h"), "ctc").destination == Path("wav2vec2-base-960h-ctc")


def test_a_hub_that_does_not_answer_is_one_line(monkeypatch):
    def snapshot_download(name, allow_patterns):
        raise ConnectionError("no route to host\nand much more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(ExportError) as caught:
        find_checkpoint(Path("nobody/nothing"))
    assert str(caught.value) == ("nobody/nothing is not a directory, and the hub did not give it: no route to host")


def test_without_the_hubs_package_the_message_names_it(monkeypatch):
    monkeypatch.setattr("w2vc_exporter.checkpoint.hub.find_spec", lambda name: None)
    with pytest.raises(ExportError, match="to read it as a hub id, pip install huggingface_hub"):
        find_checkpoint(Path("nobody/nothing"))


@pytest.mark.parametrize("path", ["/absolute/path", "plain", "a/b/c"])
def test_paths_are_not_asked_of_the_hub(path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *args, **kwargs: pytest.fail("asked the hub"))
    assert find_checkpoint(Path(path)) == Path(path)


def test_a_file_and_a_name_that_is_too_long_are_not_asked_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *args, **kwargs: pytest.fail("asked the hub"))
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/wav2vec_small.pt").touch()
    assert find_checkpoint(Path("models/wav2vec_small.pt")) == Path("models/wav2vec_small.pt")
    with pytest.raises(ExportError, match=r"is not a directory: File name too long") as caught:
        find_checkpoint(Path("x" * 5000))
    assert len(str(caught.value)) < 300

"""Files of weights and the names that lead to them: what is not taken, and what a file is that is no checkpoint."""

from __future__ import annotations

import argparse
import json
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import w2vc_model
from support.oracle import tiny
from support.weights import edit_tensors, same_weights
from w2vc_model import CheckpointError, weights


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny()[1], tmp_path / "checkpoint"))


@pytest.mark.parametrize("kind", ["int8", "uint8", "int64", "bool", "complex64", "float8_e4m3fn"])
@pytest.mark.parametrize("name", ["lm_head.weight", "wav2vec2_conformer.encoder.pos_conv_embed.conv.weight_g"])
def test_weights_that_are_no_floating_numbers_are_refused_by_name(checkpoint, kind, name):
    edit_tensors(checkpoint, lambda tensors: tensors.update({name: torch.ones(1).to(getattr(torch, kind))}))
    with pytest.raises(
        CheckpointError, match=f"a type that is not read: {name} {kind}; supported: float32, float16, bf"
    ):
        w2vc_model.load(checkpoint, "ctc")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_every_floating_type_is_read_as_fp32(checkpoint, dtype):
    edit_tensors(checkpoint, lambda tensors: tensors.update({name: t.to(dtype) for name, t in tensors.items()}))
    exact = load_file(checkpoint / "model.safetensors")["lm_head.weight"].float()
    assert torch.equal(w2vc_model.load(checkpoint, "ctc").lm_head.weight, exact)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tensors: list(tensors), "must hold tensors by name, and holds a value of type list"),
        (lambda tensors: {**tensors, 7: torch.zeros(1)}, "must hold tensors by name, and has a name of type int"),
        (lambda tensors: {"state_dict": tensors}, "must hold tensors by name, and state_dict is of type dict"),
        (lambda tensors: {**tensors, "a": torch.zeros(2, device="meta")}, "has no values of a that can be read"),
        (lambda tensors: {**tensors, "a": torch.zeros(2).to_sparse()}, "has no values of a that can be read"),
        (lambda tensors: {**tensors, "a": torch.zeros(1).expand(9)}, r"holds less than a \[9\]"),
        (
            lambda tensors: {"args": None, "model": tensors, "task_state": {}},
            "is a fairseq checkpoint; convert it with",
        ),
    ],
)
def test_pickles_that_hold_something_else(checkpoint, make, message):
    tensors = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    torch.save(make(tensors), checkpoint / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin " + message) as caught:
        w2vc_model.load(checkpoint, "ctc")
    assert "\n" not in str(caught.value)


def test_what_torch_says_of_a_file_stays_unsaid(checkpoint):
    """A pickle in protocol 3 makes it warn, which would be an error here."""
    tensors = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    torch.save(tensors, checkpoint / "pytorch_model.bin", pickle_protocol=3)
    with pytest.warns(UserWarning, match="pickle protocol 3"):
        torch.load(checkpoint / "pytorch_model.bin", weights_only=True)
    assert same_weights(tiny()[1], checkpoint)


def test_a_tar_archive_is_not_unpacked(checkpoint, monkeypatch):
    """The weights of torch before 0.4: it would write their files to a temporary directory."""
    (checkpoint / "model.safetensors").unlink()
    with tarfile.open(checkpoint / "pytorch_model.bin", "w") as archive:
        archive.add(checkpoint / "config.json", "storages")
    monkeypatch.setattr(tarfile.TarFile, "extract", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(CheckpointError, match="is not a file of weights that torch wrote whole"):
        w2vc_model.load(checkpoint, "ctc")


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/../../b.bin", "..", ".", "", "//etc/passwd", "x" * 256, "a\0b", 5, None],
)
@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_shards_stay_in_their_directory(checkpoint, kind, name, monkeypatch):
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / f"{kind}.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    monkeypatch.setattr(weights, "_read", lambda path: pytest.fail(f"opened {path}"))
    with pytest.raises(CheckpointError, match=rf"{kind}\.index\.json names .*, which is not a file in its directory"):
        w2vc_model.load(checkpoint, "ctc")


def test_links_and_folders_of_shards_are_followed(tmp_path):
    """The hub's cache is links to blobs outside the snapshot, and an index may name files in folders."""
    model, single = tiny()
    model.save_pretrained(tmp_path / "saved", max_shard_size="100KB")
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "1", tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted((tmp_path / "saved").iterdir())):
        (blobs / str(number)).write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(Path("../../blobs") / str(number))
    assert same_weights(single, snapshot)

    (tmp_path / "saved" / "shards").mkdir()
    for path in (tmp_path / "saved").glob("model-*.safetensors"):
        path.rename(tmp_path / "saved" / "shards" / path.name)
    index = tmp_path / "saved" / "model.safetensors.index.json"
    index.write_text(index.read_text().replace('"model-', '"shards/model-'))
    assert same_weights(single, tmp_path / "saved")


FAIRSEQ = {"args": None, "cfg": {"task": "audio"}, "model": {"mask_emb": torch.zeros(4)}, "task_state": {}}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("settings", [None, argparse.Namespace(arch="wav2vec2")])
def test_a_fairseq_checkpoint_is_named(tmp_path, zipped, settings):
    """Also where its settings are objects, which are not made to find that out."""
    path = tmp_path / "wav2vec_small.pt"
    torch.save({**FAIRSEQ, "args": settings}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        CheckpointError, match=r"wav2vec_small\.pt is a fairseq checkpoint; convert it with convert_wav2vec2"
    ):
        w2vc_model.load(path, "ctc")


def test_a_file_in_place_of_its_directory(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match=rf"holds weights alone; give the directory that it is in, {checkpoint}"):
        w2vc_model.load(checkpoint / "model.safetensors", "ctc")
    for number, content in enumerate(({"a": torch.zeros(1)}, {"state_dict": {}, "epoch": 1})):
        torch.save(content, tmp_path / f"{number}.ckpt")
        with pytest.raises(
            CheckpointError, match=r"holds weights alone; give the directory that has them beside config"
        ):
            w2vc_model.load(tmp_path / f"{number}.ckpt", "ctc")
    for name in ("config.json", "vocab.json"):
        with pytest.raises(CheckpointError, match=f"{name} is not a directory; expected a Hugging Face checkpoint"):
            w2vc_model.load(checkpoint / name, "ctc")

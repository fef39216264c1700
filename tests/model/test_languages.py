"""Multilingual checkpoints: one adapter, head and alphabet for each language, as in MMS."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC

import w2vc_model
from support.oracle import LETTERS, TINY, alone, build, clips, difference, padded, save
from support.parity import expect_alone
from w2vc_exporter import ExportError, ExportOptions, RecipeError, export
from w2vc_exporter.checkpoint.tokenizers import read_ctc
from w2vc_model import CheckpointError, ConfigError
from w2vc_runtime import load
from w2vc_runtime.bundle import Bundle

LANGUAGES = {"eng": LETTERS, "fra": [*LETTERS, "é", "ç"], "ell": [*LETTERS[:5], *"αβγδε"]}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """English in the weight file; French and Greek as adapters, in the two formats there are."""
    folder = tmp_path_factory.mktemp("languages") / "mms"
    english = build("wav2vec2-stable", **{**TINY, "adapter_attn_dim": 16})
    save(english, folder)
    for seed, language in enumerate(("fra", "ell"), start=1):
        other = build(
            "wav2vec2-stable", seed=seed, **{**TINY, "adapter_attn_dim": 16, "vocab_size": len(LANGUAGES[language])}
        )
        weights = {name: tensor.detach().clone() for name, tensor in other._get_adapters().items()}
        if language == "fra":
            save_file(weights, folder / "adapter.fra.safetensors")
        else:
            torch.save(weights, folder / "adapter.ell.bin")
    nested = {
        language: {token: index for index, token in enumerate(letters)} for language, letters in LANGUAGES.items()
    }
    (folder / "vocab.json").write_text(json.dumps(nested))
    Wav2Vec2CTCTokenizer(folder / "vocab.json", target_lang="eng").save_pretrained(folder)
    return folder


def hugging_face(checkpoint: Path, language: str | None) -> PreTrainedModel:
    model = Wav2Vec2ForCTC.from_pretrained(checkpoint)
    if language is not None:
        model.load_adapter(language, use_safetensors=language == "fra", local_files_only=True)
    return model.eval()


@pytest.mark.parametrize("language", [None, "fra", "ell"])
def test_each_language_equals_hugging_face(checkpoint, language):
    theirs = hugging_face(checkpoint, language)
    ours = w2vc_model.load(checkpoint, "ctc", target_lang=language)
    (clip,) = clips(12000)
    with torch.no_grad():
        logits = ours(*padded([clip]))["logits"].numpy()[0]
    assert logits.shape[-1] == len(LANGUAGES[language or "eng"])
    assert difference(logits, alone(theirs, clip)) < 1e-5


def test_exported_with_its_alphabet(checkpoint, tmp_path):
    result = export(ExportOptions(checkpoint, output=tmp_path / "bundle", target_lang="fra"))
    assert result.manifest.ctc.vocabulary == tuple(LANGUAGES["fra"])
    model = load(result.bundle, "cpu")
    (clip,) = clips(12000)
    expect_alone(hugging_face(checkpoint, "fra"), "ctc", model, [clip])
    # The adapter is part of what the bundle was made from.
    other = export(ExportOptions(checkpoint, output=tmp_path / "other")).manifest
    assert Bundle.read(result.bundle).manifest.source.sha256 != other.source.sha256


def test_the_bundle_is_named_after_the_language(checkpoint):
    assert ExportOptions(checkpoint, "ctc", precision="fp16", target_lang="fra").destination == Path("mms-fra-ctc-fp16")


def test_vocabulary_of_the_chosen_language(checkpoint, tmp_path):
    assert read_ctc(checkpoint, 32).vocabulary == tuple(LANGUAGES["eng"])  # the tokenizer's own target_lang
    assert read_ctc(checkpoint, 10, "ell").vocabulary == tuple(LANGUAGES["ell"])
    with pytest.raises(RecipeError, match="has no language 'deu'; there: ell, eng, fra"):
        read_ctc(checkpoint, 32, "deu")
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    (copy / "tokenizer_config.json").unlink()
    with pytest.raises(RecipeError, match="needs a target language; there: ell, eng, fra"):
        read_ctc(copy, 32)


def test_languages_that_are_not_there(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="has no adapter for language 'deu'; there: ell, fra"):
        w2vc_model.load(checkpoint, "ctc", target_lang="deu")
    with pytest.raises(ExportError, match="has no language adapters"):
        export(ExportOptions(target_lang="fra", output=tmp_path / "out"))
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    path = copy / "adapter.fra.safetensors"
    save_file(load_file(path) | {"stray": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="unexpected: stray"):
        w2vc_model.load(copy, "ctc", target_lang="fra")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError, match=r"adapter\.fra\.safetensors is damaged or truncated"):
        w2vc_model.load(copy, "ctc", target_lang="fra")


def test_adapters_need_the_encoder_that_calls_them(checkpoint, tmp_path):
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"do_stable_layer_norm": False}))
    with pytest.raises(ConfigError, match="adapter_attn_dim needs do_stable_layer_norm true"):
        w2vc_model.load(copy, "ctc")


def test_the_adapter_counts(checkpoint):
    """Without its adapter the model would hear something else."""
    (clip,) = clips(12000)
    model = w2vc_model.load(checkpoint, "ctc")
    with torch.no_grad():
        whole = model(*padded([clip]))["logits"].numpy()
        for layer in model.backbone.encoder.layers:
            layer.adapter_layer = None
        assert np.abs(whole - model(*padded([clip]))["logits"].numpy()).max() > 1e-2

"""Preprocessor and tokenizer files: which is read, what is refused, and what is said of what a bundle leaves out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.oracle import LETTERS, tiny
from w2vc_exporter import RecipeError, cli
from w2vc_exporter.checkpoint.recipes import read_features
from w2vc_exporter.checkpoint.tokenizers import SPARE_AT_MOST, notes, read_ctc

SIZE = len(LETTERS)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(tiny(brief=True)[1], tmp_path / "checkpoint"))


def edit(path: Path, **values) -> None:
    path.write_text(json.dumps((json.loads(path.read_text()) if path.is_file() else {}) | values))


def forget(checkpoint: Path, *letters: str) -> None:
    path = checkpoint / "vocab.json"
    vocabulary = json.loads(path.read_text())
    path.write_text(json.dumps({token: index for token, index in vocabulary.items() if token not in letters}))


@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
def test_messages_name_the_file_that_was_read(checkpoint, file):
    """transformers 5 may write one file for the feature extractor and the tokenizer."""
    path = checkpoint / "preprocessor_config.json"
    values = json.loads(path.read_text())
    path.unlink()

    def write(**changes) -> None:
        changed = values | changes
        (checkpoint / file).write_text(
            json.dumps({"feature_extractor": changed} if file.startswith("processor") else changed)
        )

    write()
    assert read_features(checkpoint, "input_values").sampling_rate == 16000
    for changes in ({"feature_extractor_type": "Other"}, {"sampling_rate": 10**9}, {"feature_size": 2}):
        write(**changes)
        with pytest.raises(RecipeError, match=f"/{file}: {next(iter(changes))}"):
            read_features(checkpoint, "input_values")
    write()
    with pytest.raises(RecipeError, match=f"/{file}: Wav2Vec2FeatureExtractor gives input_values"):
        read_features(checkpoint, "input_features")


def test_a_processor_without_a_feature_extractor(checkpoint):
    (checkpoint / "preprocessor_config.json").unlink()
    with pytest.raises(RecipeError, match=r"has no preprocessor_config\.json; save"):
        read_features(checkpoint, "input_values")
    (checkpoint / "processor_config.json").write_text('{"processor_class": "Wav2Vec2Processor"}')
    with pytest.raises(RecipeError, match=r"and processor_config\.json has no feature_extractor; save"):
        read_features(checkpoint, "input_values")
    (checkpoint / "processor_config.json").write_text('{"feature_extractor": [1]}')
    with pytest.raises(RecipeError, match=r"processor_config\.json: feature_extractor must hold a JSON object"):
        read_features(checkpoint, "input_values")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sampling_rate": 10**9}, "sampling_rate must be a positive number of Hz, 1000 to 768000, got 1000000000"),
        ({"sampling_rate": 1}, "sampling_rate must be a positive number of Hz, 1000 to 768000, got 1"),
        ({"sampling_rate": True}, "sampling_rate must be a positive number of Hz"),
        ({"padding_value": {}}, "padding_value {} is not supported; supported: a number"),
        ({"padding_value": float("nan")}, "padding_value nan is not supported"),
        ({"padding_value": 1e39}, r"padding_value 1e\+39 is not supported"),
        ({"do_normalize": "false"}, "do_normalize 'false' is not supported; supported: true, false"),
        ({"return_attention_mask": 1}, "return_attention_mask 1 is not supported; supported: true, false"),
        ({"feature_extractor_type": ["a"]}, r"feature_extractor_type \['a'\] is not supported"),
        ({"feature_size": "x" * 5000}, "feature_size 'xxx.* is not supported; supported: a number"),
        ({"padding_side": "left"}, "padding_side 'left' is not supported; supported: 'right'"),
    ],
)
def test_settings_of_another_type_or_size(checkpoint, values, message):
    edit(checkpoint / "preprocessor_config.json", **values)
    with pytest.raises(RecipeError, match=message) as caught:
        read_features(checkpoint, "input_values")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokenizer_class": ["a"]}, r"tokenizer_class \['a'\] is not supported; supported: text"),
        ({"target_lang": ["fra"]}, r"target_lang \['fra'\] is not supported; supported: text"),
        ({"do_lower_case": "false"}, "do_lower_case 'false' is not supported; supported: true, false"),
        ({"pad_token": ["<pad>"]}, r"pad_token \['<pad>'\] is not supported; supported: a token"),
        ({"unk_token": {"content": 5}}, "unk_token {'content': 5} is not supported; supported: a token"),
        ({"extra_special_tokens": [7]}, r"extra_special_tokens \[7\] is not supported; supported: a list of tokens"),
        ({"added_tokens_decoder": {"4": ["|"]}}, "must give each added token its number"),
        ({"added_tokens_decoder": {"9" * 5000: "|"}}, "must give each added token its number"),
    ],
)
def test_tokenizers_of_another_type(checkpoint, values, message):
    edit(checkpoint / "tokenizer_config.json", **values)
    with pytest.raises(RecipeError, match=r"tokenizer_config\.json:? " + message) as caught:
        read_ctc(checkpoint, SIZE)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("letters", [LETTERS[-12:], LETTERS[-SPARE_AT_MOST - 1 :], ["e"], ["e", *LETTERS[-3:]]])
def test_a_vocabulary_that_lacks_tokens_is_refused(checkpoint, letters):
    """At its end more than round a head up to eight, or any in its midst: the text would lack them."""
    forget(checkpoint, *letters)
    with pytest.raises(
        RecipeError, match=rf"vocab\.json has no token for {len(letters)} of the model's {SIZE} outputs"
    ):
        read_ctc(checkpoint, SIZE)


@pytest.mark.parametrize("spare", range(SPARE_AT_MOST + 1))
def test_spare_outputs_are_told_of(checkpoint, spare):
    rules = read_ctc(checkpoint, SIZE + spare)
    assert rules.vocabulary == (*LETTERS, *["<unk>"] * spare)
    told = notes(checkpoint, rules)
    assert len(told) == bool(spare)
    assert all(f"no token for the last {spare} of the model's {SIZE + spare} outputs; as in Hugging" in n for n in told)


def test_a_language_model_is_told_of(checkpoint):
    rules = read_ctc(checkpoint, SIZE)
    expected = (f"{checkpoint} has a language model; the bundle decodes greedily, without it",)
    assert notes(checkpoint, rules) == ()
    edit(checkpoint / "preprocessor_config.json", processor_class="Wav2Vec2Processor")
    assert notes(checkpoint, rules) == ()
    edit(checkpoint / "preprocessor_config.json", processor_class="Wav2Vec2ProcessorWithLM")  # from the hub, without it
    assert notes(checkpoint, rules) == expected
    edit(checkpoint / "preprocessor_config.json", processor_class=None)
    (checkpoint / "language_model").mkdir()
    assert notes(checkpoint, rules) == expected


def test_an_export_says_what_it_leaves_out(checkpoint, tmp_path, capsys):
    """Beside the result, on standard error, one line each; there is none where there is nothing to say."""
    (checkpoint / "language_model").mkdir()
    (checkpoint / "language_model" / "5gram.arpa").write_text("\\data\\\n")
    (checkpoint / "alphabet.json").write_text(json.dumps({"labels": LETTERS, "is_bpe": False}))
    forget(checkpoint, LETTERS[-1])
    assert cli.main([str(checkpoint), "--head", "ctc", "-o", str(tmp_path / "out")]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if ": note: " in line]
    assert [line.partition(": note: ")[2].partition(" has ")[2].partition(";")[0] for line in said] == [
        "a language model", f"no token for the last 1 of the model's {SIZE} outputs",
    ]  # fmt: skip
    assert cli.main([str(tiny(brief=True)[1]), "--head", "ctc", "-o", str(tmp_path / "other")]) == 0
    assert "note" not in capsys.readouterr().err

"""Reading checkpoints: every form that Hugging Face writes, and clear refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import w2vc_model
from support.oracle import CLASSES, TINY, answer, build, clips, difference, fronts, padded, save, tiny
from support.weights import edit_tensors, same_weights
from w2vc_model import CheckpointError, ConfigError, HeadError, ModelError
from w2vc_model.documents import read_object


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny()[1], tmp_path / "checkpoint"))


def edit_config(checkpoint: Path, **values) -> Path:
    path = checkpoint / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return checkpoint


def test_sharded_safetensors(tmp_path):
    model, single = tiny()
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert same_weights(single, tmp_path)


def test_pytorch_bin_single_and_sharded(checkpoint):
    tensors = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    torch.save(tensors, checkpoint / "pytorch_model.bin")
    assert same_weights(tiny()[1], checkpoint)

    torch.save(tensors, checkpoint / "pytorch_model.bin", _use_new_zipfile_serialization=False)  # before torch 1.6
    assert same_weights(tiny()[1], checkpoint)

    (checkpoint / "pytorch_model.bin").unlink()
    names = sorted(tensors)
    shards = {"pytorch_model-00001-of-00002.bin": names[:30], "pytorch_model-00002-of-00002.bin": names[30:]}
    for file, held in shards.items():
        torch.save({name: tensors[name] for name in held}, checkpoint / file)
    index = {"weight_map": {name: file for file, held in shards.items() for name in held}}
    (checkpoint / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert same_weights(tiny()[1], checkpoint)


def test_a_pickle_that_would_run_code_is_refused(checkpoint):
    (checkpoint / "model.safetensors").unlink()

    class Payload:
        def __reduce__(self):
            return (open, ("/tmp/w2vc-was-here", "w"))

    torch.save({"lm_head.weight": Payload()}, checkpoint / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        w2vc_model.load(checkpoint, "ctc")
    assert not Path("/tmp/w2vc-was-here").exists()


@pytest.mark.parametrize("architecture", ["conformer-relative", "wav2vec2"])
def test_both_spellings_of_weight_norm(architecture, tmp_path):
    model, original = tiny(architecture)
    checkpoint = Path(shutil.copytree(original, tmp_path / "checkpoint"))
    prefix = f"{model.base_model_prefix}.encoder.pos_conv_embed.conv."

    def respell(tensors):
        tensors[f"{prefix}weight_g"] = tensors.pop(f"{prefix}parametrizations.weight.original0")
        tensors[f"{prefix}weight_v"] = tensors.pop(f"{prefix}parametrizations.weight.original1")

    assert same_weights(original, edit_tensors(checkpoint, respell))


def test_half_precision_weights_are_read_as_fp32(checkpoint):
    edit_tensors(checkpoint, lambda tensors: tensors.update({name: t.half() for name, t in tensors.items()}))
    state = w2vc_model.load(checkpoint, "ctc").state_dict()
    assert {t.dtype for name, t in state.items() if "num_batches" not in name} == {torch.float32}


def test_missing_unexpected_and_misshapen_tensors_are_named_at_most_ten_of_each(checkpoint):
    def damage(tensors):
        for name in sorted(tensors)[10:40]:
            tensors.pop(name, None)
        tensors["wav2vec2_conformer.surprise"] = torch.zeros(1)
        tensors["lm_head.bias"] = torch.zeros(7)

    with pytest.raises(CheckpointError) as caught:
        w2vc_model.load(edit_tensors(checkpoint, damage), "ctc")
    message = str(caught.value)
    assert "\n" not in message
    _, missing, unexpected, misshapen = message.split("; ")
    assert missing.startswith("missing: ")
    assert missing.count("backbone.") == 10
    assert missing.endswith(" more")
    assert unexpected == "unexpected: backbone.surprise"
    assert misshapen == "wrong shape: lm_head.bias [7] instead of [32]"


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_pickles(checkpoint, zipped):
    tensors = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    path = checkpoint / "pytorch_model.bin"
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        w2vc_model.load(checkpoint, "ctc")


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_truncated_files(checkpoint, file):
    path = checkpoint / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=file):
        w2vc_model.load(checkpoint, "ctc")


def test_missing_pieces(tmp_path, checkpoint):
    with pytest.raises(CheckpointError, match="is not a directory"):
        w2vc_model.load(tmp_path / "nowhere", "ctc")
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        w2vc_model.load(tmp_path, "ctc")
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no weights; expected one of model\.safetensors"):
        w2vc_model.load(checkpoint, "ctc")
    (checkpoint / "model.safetensors.index.json").write_text('{"weight_map": {"a": "gone.safetensors"}}')
    with pytest.raises(CheckpointError, match=r"gone\.safetensors"):
        w2vc_model.load(checkpoint, "ctc")


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{{"vocab_size": {DEEP}}}', "is not valid JSON: more than 32 objects and lists are in one another"),
        (
            '{"vocab_size": ' + "[" * 33 + "]" * 33 + "}",
            "is not valid JSON: more than 32 objects and lists are in one another",
        ),
        (f'{{"vocab_size": {"9" * 5000}}}', "is not valid JSON: an integer has 5000 digits, more than 100"),
        ('{"model_type": "\\ud800"}', "is not valid JSON: .* surrogates not allowed"),
        ('{"a": "' + "x" * (16 << 20) + '"}', "is larger than 16 MiB"),
        ("[1]", "must hold a JSON object"),
        ('{"model_type": ["wav2vec2"]}', r"model_type \['wav2vec2'\] is not supported"),
    ],
    ids=["deep", "33 deep", "digits", "half a character", "large", "list", "unhashable"],
)
def test_documents_have_limits(checkpoint, text, message):
    (checkpoint / "config.json").write_text(text)
    with pytest.raises(ModelError, match=rf"config\.json:? {message}") as caught:
        w2vc_model.load(checkpoint, "ctc")
    assert len(str(caught.value)) < 500


def test_documents_as_hugging_face_writes_them_are_within_the_limits(tmp_path):
    path = tmp_path / "tokenizer_config.json"
    path.write_text(
        json.dumps({"model_max_length": 10**30, "deep": json.loads("[" * 30 + "]" * 30), "text": "é\u2028"})
    )
    assert read_object(path)["model_max_length"] == 10**30


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_hidden_layers": 10**6}, "num_hidden_layers 1000000 is not supported; supported: up to 1000"),
        ({"num_hidden_layers": 900}, "num_hidden_layers 900, and the weights have 2 layers"),
        ({"hidden_size": 10**9}, "hidden_size 1000000000 is not supported; supported: up to 1000000"),
        ({"vocab_size": 10**9}, "vocab_size 1000000000 is not supported"),
        ({"num_adapter_layers": 10**4}, "num_adapter_layers 10000 is not supported; supported: up to 1000"),
        ({"tdnn_dim": [1] * 2000}, "the length of tdnn_dim 2000 is not supported; supported: up to 1000"),
        ({"conv_kernel": [10**9] * 7}, "conv_kernel 1000000000 is not supported"),
        ({"conv_stride": [1000] * 7}, "kernels and strides that take 1[0-9]* samples or frames together are not supp"),
        ({"hidden_size": 10**6}, r"wrong shape: .* instead of \[1000000"),
        ({"layer_norm_eps": 2.5}, "layer_norm_eps must be a positive number, got 2.5; supported: up to 1"),
        ({"hidden_act": ["gelu", []]}, "hidden_act .* is not supported"),
        ({"id2label": {"0": 5}}, "id2label must give each class a name; it has no text for 0"),
    ],
)
def test_sizes_beyond_any_model_are_refused_before_anything_is_built(checkpoint, values, message):
    with pytest.raises(ModelError, match=message) as caught:
        w2vc_model.load(edit_config(checkpoint, **values), "ctc")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"adapter_attn_dim": 0, "do_stable_layer_norm": True}, "adapter_attn_dim must be a positive integer, got 0"),
        ({"num_conv_pos_embedding_groups": 5}, "must be a multiple of num_conv_pos_embedding_groups 5"),
        ({"do_stable_layer_norm": None}, "do_stable_layer_norm None is not supported"),
    ],
)
def test_unsupported_wav2vec2_configurations_are_refused_by_name(values, message, tmp_path):
    checkpoint = Path(shutil.copytree(tiny("wav2vec2")[1], tmp_path / "checkpoint"))
    with pytest.raises(ConfigError) as caught:
        w2vc_model.load(edit_config(checkpoint, **values), "ctc")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"model_type": "whisper"},
            "model_type 'whisper' is not supported; supported: wav2vec2, wav2vec2-conformer, wav2vec2-bert",
        ),
        ({"layer_norm_eps": "small"}, "layer_norm_eps must be a positive number, got 'small'"),
        ({"conv_bias": "yes"}, "conv_bias 'yes' is not supported; supported: True, False"),
        (
            {"position_embeddings_type": "alibi"},
            "position_embeddings_type 'alibi' is not supported; supported: null, rel",
        ),
        ({"hidden_act": "mish"}, "hidden_act 'mish' is not supported"),
        ({"feat_extract_norm": "batch"}, "feat_extract_norm 'batch' is not supported; supported: group, layer"),
        ({"add_adapter": "yes"}, "add_adapter 'yes' is not supported; supported: True, False"),
        ({"adapter_stride": 0}, "adapter_stride must be a positive integer, got 0"),
        ({"tdnn_kernel": [5, 3]}, "tdnn_dim, tdnn_kernel and tdnn_dilation must have the same length, got 3, 2 and 3"),
        ({"codevector_dim": 25}, "codevector_dim 25 must be a multiple of num_codevector_groups 3"),
        (
            {"id2label": {"0": "a", "2": "b"}},
            "id2label has 2 entries but no label for 1; number the classes from 0 to 1",
        ),
        ({"id2label": ["a"]}, "id2label must map each class number to its name"),
        ({"problem_type": "ranking"}, "problem_type 'ranking' is not supported; supported: null, regression"),
        ({"conv_depthwise_kernel_size": 8}, "conv_depthwise_kernel_size must be odd, got 8"),
        ({"conv_stride": [5, 2]}, "must have the same length, got 7, 7 and 2"),
        ({"conv_kernel": "10"}, "conv_kernel must be a list of positive integers"),
        ({"num_attention_heads": 5}, "hidden_size 48 must be a multiple of num_attention_heads 5"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be a positive integer, got 0"),
        ({"vocab_size": "32"}, "vocab_size must be a positive integer"),
        ({"vocab_size": None}, "vocab_size is missing"),
        ({"position_embeddings_type": "rotary", "num_attention_heads": 16}, "rotary positions need an even head size"),
        ({"hidden_size": 45, "num_attention_heads": 5}, "relative positions need an even hidden_size"),
    ],
)
def test_unsupported_configurations_are_refused_by_name(checkpoint, values, message):
    with pytest.raises(ConfigError) as caught:
        w2vc_model.load(edit_config(checkpoint, **values), "ctc")
    assert message in str(caught.value)


@pytest.mark.parametrize("architecture", ["wav2vec2", "bert-relative_key"])
@pytest.mark.parametrize("head", CLASSES)
def test_a_head_without_weights_names_the_heads_there_are(architecture, head):
    norm = fronts(architecture)[0]
    if (architecture, head) == ("bert-relative_key", "pretraining"):
        return
    checkpoint = tiny(architecture, norm, head)[1]
    present = [head] if head == "base" else ["base", head]
    for other in CLASSES:
        if other in present:
            w2vc_model.load(checkpoint, other)
        else:
            with pytest.raises(HeadError) as caught:
                w2vc_model.load(checkpoint, other)
            assert str(caught.value).endswith(f"no weights for head {other!r}; it has: {', '.join(present)}")


def test_heads_and_layers_that_no_model_has(tmp_path):
    with pytest.raises(HeadError, match="unknown head 'asr'; known: base, ctc, sequence-classification"):
        w2vc_model.load(tiny()[1], "asr")
    with pytest.raises(HeadError, match=r"no hidden state 3; this model has 0 .* to 2"):
        w2vc_model.load(tiny()[1], "base", hidden_states=(0, 3))
    copy = Path(shutil.copytree(tiny("bert-none", "log-mel", "ctc")[1], tmp_path / "copy"))
    edit_tensors(copy, lambda tensors: tensors.update({"quantizer.codevectors": torch.zeros(1)}))
    with pytest.raises(HeadError, match="wav2vec2-bert has no pretraining head in Hugging Face"):
        w2vc_model.load(copy, "pretraining")


@pytest.mark.parametrize("head", ["sequence-classification", "frame-classification"])
def test_labels_that_are_missing(head, tmp_path):
    copy = Path(shutil.copytree(tiny("wav2vec2", "group", head)[1], tmp_path / "copy"))
    with pytest.raises(ConfigError, match="id2label names 2 labels, and the classifier gives 3 scores; give id2label"):
        w2vc_model.load(edit_config(copy, id2label={"0": "yes", "1": "no"}), head)
    with pytest.raises(ConfigError, match="id2label names 2 labels"):  # Hugging Face's default
        w2vc_model.load(edit_config(copy, id2label=None), head)
    assert w2vc_model.load(edit_config(copy, num_labels=3), head).config.labels == ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.mark.parametrize("head", ["sequence-classification", "frame-classification"])
def test_classification_heads_have_no_adapter(head, tmp_path):
    copy = Path(shutil.copytree(tiny("wav2vec2", "group", head)[1], tmp_path / "copy"))
    with pytest.raises(ConfigError, match=f"the {head} head is not supported with add_adapter true"):
        w2vc_model.load(edit_config(copy, add_adapter=True), head)


def test_an_adapter_whose_frames_hugging_face_miscounts(tmp_path):
    """Hugging Face's length formula takes a kernel of 3 for granted; without padding nothing depends on it."""
    config = {**TINY, "add_adapter": True, "num_adapter_layers": 2, "adapter_kernel_size": 5}
    theirs = build("wav2vec2", "base", **config)
    checkpoint = save(theirs, tmp_path / "model")
    with pytest.raises(ConfigError, match=r"adapter_kernel_size 5 .* export with padding-invariant"):
        w2vc_model.load(checkpoint, "base", "hf-exact")
    ours = w2vc_model.load(checkpoint, "base")
    batch = clips(16000, ours.shortest, 9001)
    together = ours(*padded(batch))["last_hidden_state"]
    for row, clip in zip(together, batch):
        expected = answer(theirs, "base", torch.from_numpy(clip)[None], None)["last_hidden_state"][0]
        assert difference(row[: len(expected)].numpy(), expected) < 1e-5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"left_max_position_embeddings": -1}, "left_max_position_embeddings must be a number of frames, 0 or more"),
        ({"use_intermediate_ffn_before_adapter": True}, "use_intermediate_ffn_before_adapter needs add_adapter true"),
        ({"add_adapter": True, "output_hidden_size": 30}, "output_hidden_size 30 must be a multiple of num_att"),
        ({"adapter_act": "mish"}, "adapter_act 'mish' is not supported"),
        ({"position_embeddings_type": "alibi"}, "supported: null, relative, relative_key, rotary"),
    ],
)
def test_unsupported_bert_configurations_are_refused_by_name(values, message, tmp_path):
    copy = Path(shutil.copytree(tiny("bert-relative_key", "log-mel")[1], tmp_path / "copy"))
    with pytest.raises(ConfigError) as caught:
        w2vc_model.load(edit_config(copy, **values), "ctc")
    assert message in str(caught.value)

"""Two layers of published checkpoints, with their own width, heads, kernels, activations and options."""

from __future__ import annotations

from typing import Any

from support.oracle import LETTERS

LETTER_HEAD: dict[str, Any] = {"vocab_size": len(LETTERS)}
BASE: dict[str, Any] = {"num_hidden_layers": 2, "feat_extract_norm": "group", "conv_bias": False}
LARGE: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 2,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "conv_bias": True,
    "feat_extract_norm": "layer",
}
BILLION: dict[str, Any] = {**LARGE, "hidden_size": 1280, "intermediate_size": 5120}
CONFORMER: dict[str, Any] = {**LARGE, "hidden_act": "swish"}
SUPERB: dict[str, Any] = {**BASE, "use_weighted_layer_sum": True, "classifier_proj_size": 256}
BERT: dict[str, Any] = {"num_hidden_layers": 2}  # the configuration's defaults are those of w2v-bert-2.0
KEYWORDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "_silence_", "_unknown_"]

PUBLISHED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "wav2vec2-base-960h": ("wav2vec2", "ctc", {**BASE, **LETTER_HEAD}),
    "wav2vec2-large-960h-lv60-self": ("wav2vec2-stable", "ctc", {**LARGE, **LETTER_HEAD}),
    "wav2vec2-xls-r-1b": (
        "wav2vec2-stable",
        "pretraining",
        {**BILLION, "codevector_dim": 1024, "proj_codevector_dim": 1024},
    ),
    "mms-1b-all": ("wav2vec2-stable", "ctc", {**BILLION, **LETTER_HEAD, "adapter_attn_dim": 16}),
    "wav2vec2-base-superb-ks": (
        "wav2vec2", "sequence-classification", {**SUPERB, "id2label": dict(enumerate(KEYWORDS))},
    ),
    "wav2vec2-base-superb-sv": ("wav2vec2", "xvector", {**SUPERB, "num_labels": 1251}),
    "wav2vec2-base-superb-sd": ("wav2vec2", "frame-classification", {**SUPERB, "num_labels": 2}),
    "wav2vec2-conformer-rel-pos-large": ("conformer-relative", "ctc", {**CONFORMER, **LETTER_HEAD}),
    "wav2vec2-conformer-rope-large-960h-ft": ("conformer-rotary", "ctc", {**CONFORMER, **LETTER_HEAD}),
    "w2v-bert-2.0": ("bert-relative_key", "base", BERT),
    "w2v-bert-2.0, adapter": ("bert-relative_key", "ctc", {**BERT, **LETTER_HEAD, "add_adapter": True}),
}  # fmt: skip

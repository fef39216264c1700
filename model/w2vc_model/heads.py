"""Heads on top of the encoder: one class for each value of ``--head``."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from .backbone import Encoded
from .config import SpeechConfig, WaveformConfig
from .errors import ConfigError, HeadError
from .families import FAMILIES
from .masks import Convolution, PaddingContract, fewest_inputs, masked

Shape = tuple["str | int", ...]


class SpeechModel(nn.Module):
    """An encoder with a head.

    marker: what the names of the head's own parameters start with, by which a checkpoint is known to have it.
    owned: all that the head may own besides the encoder, whether an inference needs it or not.
    labelled: whether it gives scores to the labels of the configuration.
    """

    marker: ClassVar[tuple[str, ...]] = ()
    owned: ClassVar[tuple[str, ...]] = ()
    labelled: ClassVar[bool] = False

    def __init__(self, config: SpeechConfig, padding: PaddingContract = "padding-invariant") -> None:
        super().__init__()
        self.config = config
        self.padding = padding
        self.backbone = FAMILIES[config.model_type].backbone(config, padding)

    @property
    def frames(self) -> str:
        """Name of the time axis of the last hidden state."""
        return "adapter_frames" if self.config.add_adapter else "frames"

    @property
    def axes(self) -> dict[str, tuple[Convolution, ...]]:
        """The convolutions that lead from the input to each time axis."""
        encoder = self.config.convolutions
        return {"frames": encoder, "adapter_frames": (*encoder, *self.config.adapter_convolutions)}

    @property
    def inputs(self) -> dict[str, tuple[str, Shape]]:
        """Type and shape of the arguments of ``forward``, in their order; dimensions that vary are named."""
        name, axes = self.backbone.input_name, self.backbone.input_axes
        features = self.backbone.example(1).shape[2:]
        return {name: ("float32", (*axes, *features)), "attention_mask": ("int64", axes)}

    @property
    def outputs(self) -> dict[str, Shape]:
        """Shape of each result of ``forward``, all float32; dimensions that vary are named."""
        raise NotImplementedError

    @property
    def shortest(self) -> int:
        """The fewest valid samples, or frames of features, for which there is an answer."""
        return fewest_inputs(self.axes[self.frames])

    @property
    def choice(self) -> str | None:
        """The output whose largest value, or nearest codevector, is a choice that must not change; none of numbers."""
        return None

    @property
    def problem_type(self) -> str | None:
        """HF ``problem_type`` of the heads that give scores to labels."""
        return None

    def example(self, seconds: float = 1.0, batch: int = 2) -> tuple[Tensor, ...]:
        """Arguments to trace ``forward`` with: a batch of clips of about that length, or longer where it must be."""
        inputs = self.backbone.example(round(seconds * max(self.backbone.second, 3 * self.shortest)), batch)
        return inputs, torch.ones(inputs.shape[:2], dtype=torch.int64)


class BaseModel(SpeechModel):
    """The last hidden state, and others on request (HF ``Wav2Vec2Model`` and its kin).

    layers: which of the hidden states to give besides the last; 0 is what goes into the first layer, n what layer n
    gives.
    """

    def __init__(
        self,
        config: SpeechConfig,
        padding: PaddingContract = "padding-invariant",
        layers: tuple[int, ...] = (),
    ) -> None:
        super().__init__(config, padding)
        for layer in layers:
            if not 0 <= layer <= config.num_hidden_layers:
                raise HeadError(
                    f"there is no hidden state {layer}; this model has 0 (the input of the first layer) to "
                    f"{config.num_hidden_layers} (the output of the last)"
                )
        self.layers = layers

    @property
    def outputs(self) -> dict[str, Shape]:
        states: dict[str, Shape] = {
            f"hidden_states_{layer}": ("batch", "frames", self.config.hidden_size) for layer in self.layers
        }
        return {"last_hidden_state": ("batch", self.frames, self.config.output_size), **states}

    def forward(self, inputs: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Return the hidden states; the arguments are those of `Backbone`."""
        encoded = self.backbone(inputs, attention_mask)
        states = {f"hidden_states_{layer}": encoded.states[layer] for layer in self.layers}
        return {"last_hidden_state": encoded.hidden, **states}


class ForCTC(SpeechModel):
    """Letter scores for connectionist temporal classification (HF ``Wav2Vec2ForCTC`` and its kin)."""

    marker = owned = ("lm_head.",)

    def __init__(self, config: SpeechConfig, padding: PaddingContract = "padding-invariant") -> None:
        super().__init__(config, padding)
        if config.vocab_size is None:
            raise ConfigError("config.json: vocab_size is missing; the ctc head needs it")
        self.lm_head = nn.Linear(config.output_size, config.vocab_size)

    @property
    def outputs(self) -> dict[str, Shape]:
        return {"logits": ("batch", self.frames, self.lm_head.out_features)}

    @property
    def choice(self) -> str | None:
        return "logits"

    def forward(self, inputs: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Return logits [batch, frames, vocab_size]; the arguments are those of `Backbone`."""
        return {"logits": self.lm_head(self.backbone(inputs, attention_mask).hidden)}


class ClassificationModel(SpeechModel):
    """What the heads over one or all layers have in common (option ``use_weighted_layer_sum``)."""

    adapted: ClassVar[bool] = False

    def __init__(self, config: SpeechConfig, padding: PaddingContract = "padding-invariant") -> None:
        super().__init__(config, padding)
        if config.add_adapter and (config.use_weighted_layer_sum or not self.adapted):
            head = next(name for name, kind in HEADS.items() if kind is type(self))
            what = "use_weighted_layer_sum reads the layers before it" if self.adapted else "Hugging Face has none"
            raise ConfigError(f"config.json: the {head} head is not supported with add_adapter true; {what}")
        if config.use_weighted_layer_sum:
            self.layer_weights = nn.Parameter(torch.empty(config.num_hidden_layers + 1))

    def read(self, encoded: Encoded) -> Tensor:
        """What the head reads: the last hidden state, or the weighted mean of all of them."""
        if not self.config.use_weighted_layer_sum:
            return encoded.hidden
        weights = torch.softmax(self.layer_weights, dim=0)
        total = encoded.states[0] * weights[0]
        for state, weight in zip(encoded.states[1:], weights[1:]):
            total = total + state * weight
        return total


class ForSequenceClassification(ClassificationModel):
    """One set of scores for a clip, from the mean of its frames (HF ``Wav2Vec2ForSequenceClassification``)."""

    marker = ("projector.", "classifier.")
    owned = ("projector.", "classifier.", "layer_weights")
    labelled = True

    def __init__(self, config: SpeechConfig, padding: PaddingContract = "padding-invariant") -> None:
        super().__init__(config, padding)
        self.projector = nn.Linear(config.hidden_size, config.classifier_proj_size)
        self.classifier = nn.Linear(config.classifier_proj_size, len(config.labels))

    @property
    def outputs(self) -> dict[str, Shape]:
        return {"logits": ("batch", self.classifier.out_features)}

    @property
    def problem_type(self) -> str:
        """HF ``problem_type``; where the configuration has none, one label is a number and several are classes."""
        default = "regression" if self.classifier.out_features == 1 else "single_label_classification"
        return self.config.problem_type or default

    def forward(self, inputs: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Return logits [batch, labels]; the arguments are those of `Backbone`."""
        encoded = self.backbone(inputs, attention_mask)
        x = masked(self.projector(self.read(encoded)), encoded.mask)
        pooled = x.sum(1) / encoded.mask.sum(1, dtype=torch.float32)[:, None]
        return {"logits": self.classifier(pooled)}


class ForFrameClassification(ClassificationModel):
    """Scores for each frame (HF ``Wav2Vec2ForAudioFrameClassification``)."""

    marker = ("classifier.",)
    owned = ("classifier.", "layer_weights")
    labelled = True

    def __init__(self, config: SpeechConfig, padding: PaddingContract = "padding-invariant") -> None:
        super().__init__(config, padding)
        self.classifier = nn.Linear(config.hidden_size, len(config.labels))

    @property
    def outputs(self) -> dict[str, Shape]:
        return {"logits": ("batch", self.frames, self.classifier.out_features)}

    @property
    def choice(self) -> str | None:
        return None if self.problem_type == "regression" else "logits"

    @property
    def problem_type(self) -> str:
        """HF ``problem_type``; without one any number of labels holds in a frame, as in Hugging Face's examples."""
        return self.config.problem_type or "multi_label_classification"

    def forward(self, inputs: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Return logits [batch, frames, labels]; the arguments are those of `Backbone`."""
        return {"logits": self.classifier(self.read(self.backbone(inputs, attention_mask)))}


class TimeDelay(nn.Module):
    """Dilated convolution, as a product over neighbouring frames (HF ``TDNNLayer``)."""

    def __init__(self, channels: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.kernel = nn.Linear(channels * kernel, outputs)
        self.offsets = range(0, kernel * dilation, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, frames, channels] -> [batch, frames - dilation * (kernel - 1), outputs]."""
        frames = x.shape[1] - self.offsets[-1]
        neighbours = [x.narrow(1, offset, frames) for offset in self.offsets]
        return torch.relu(self.kernel(torch.cat(neighbours, dim=-1)))


class ForXVector(ClassificationModel):
    """An embedding of the voice from statistics over time (HF ``Wav2Vec2ForXVector``; Snyder et al., ICASSP 2018)."""

    marker = ("tdnn.",)
    # Its own feature_extractor is a linear layer; the encoder's is a stack of convolutions.
    owned = (
        "projector.", "tdnn.", "feature_extractor.weight", "feature_extractor.bias", "classifier.", "objective.",
        "layer_weights",
    )  # fmt: skip
    adapted = True

    def __init__(self, config: SpeechConfig, padding: PaddingContract = "padding-invariant") -> None:
        super().__init__(config, padding)
        sizes = list(zip(config.tdnn_dim, config.tdnn_kernel, config.tdnn_dilation))
        self.projector = nn.Linear(config.output_size, config.tdnn_dim[0])
        channels = (config.tdnn_dim[0], *config.tdnn_dim)
        self.tdnn = nn.ModuleList(TimeDelay(channels[i], *size) for i, size in enumerate(sizes))
        self.feature_extractor = nn.Linear(2 * config.tdnn_dim[-1], config.xvector_output_dim)
        self.classifier = nn.Linear(config.xvector_output_dim, config.xvector_output_dim)
        self.delays = tuple(Convolution((kernel - 1) * dilation + 1) for _, kernel, dilation in sizes)
        # Hugging Face counts as if no convolution were dilated: under hf-exact the statistics see some padding.
        dilated = padding == "padding-invariant"
        self.lost = sum((kernel - 1) * (dilation if dilated else 1) for _, kernel, dilation in sizes)

    @property
    def shortest(self) -> int:
        return fewest_inputs((*self.axes[self.frames], *self.delays), outputs=2)  # one frame has no deviation

    @property
    def outputs(self) -> dict[str, Shape]:
        return dict.fromkeys(("logits", "embeddings"), ("batch", self.config.xvector_output_dim))

    def forward(self, inputs: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Return logits and embeddings [batch, xvector_output_dim]; the arguments are those of `Backbone`."""
        encoded = self.backbone(inputs, attention_mask)
        x = self.projector(self.read(encoded))
        for layer in self.tdnn:
            x = layer(x)
        mask = encoded.mask.narrow(1, self.lost, x.shape[1])
        count = mask.sum(1, dtype=torch.float32)[:, None]
        mean = masked(x, mask).sum(1) / count
        centred = masked(x - mean[:, None, :], mask)
        deviation = torch.sqrt((centred * centred).sum(1) / (count - 1))
        embeddings = self.feature_extractor(torch.cat((mean, deviation), dim=-1))
        return {"logits": self.classifier(embeddings), "embeddings": embeddings}


class Quantizer(nn.Module):
    """The nearest codevector of each group (HF ``Wav2Vec2GumbelVectorQuantizer`` out of training)."""

    def __init__(self, config: WaveformConfig) -> None:
        super().__init__()
        self.groups, self.entries = config.num_codevector_groups, config.num_codevectors_per_group
        width = config.codevector_dim // self.groups
        self.codevectors = nn.Parameter(torch.empty(1, self.groups * self.entries, width))
        self.weight_proj = nn.Linear(config.conv_dim[-1], self.groups * self.entries)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """features [batch, frames, width] -> codevectors [batch, frames, codevector_dim], chosen entries by group."""
        scores = self.weight_proj(features).unflatten(-1, (self.groups, self.entries))
        choices = scores.argmax(dim=-1)
        rows = choices + torch.arange(self.groups, device=choices.device) * self.entries
        return nn.functional.embedding(rows, self.codevectors[0]).flatten(2), choices

    def perplexity(self, choices: Tensor, counted: Tensor, dims: tuple[int, ...]) -> Tensor:
        """How evenly the entries are used, summed over groups; counted [batch, frames] says where, dims over what."""
        used = (choices[..., None] == torch.arange(self.entries, device=choices.device)) & counted[:, :, None, None]
        total = counted.sum(dims, dtype=torch.float32)[..., None, None]
        share = used.sum(dims, dtype=torch.float32) / total
        return torch.exp(-(share * torch.log(share.clamp_min(1e-30))).sum(-1)).sum(-1)


class ForPreTraining(SpeechModel):
    """Predicted and quantized states of wav2vec 2.0 (arXiv 2006.11477, section 2; HF ``Wav2Vec2ForPreTraining``)."""

    marker = ("quantizer.",)
    owned = ("quantizer.", "project_hid.", "project_q.")

    def __init__(self, config: SpeechConfig, padding: PaddingContract = "padding-invariant") -> None:
        super().__init__(config, padding)
        if not isinstance(config, WaveformConfig):
            raise HeadError(f"{config.model_type} has no pretraining head in Hugging Face; it has the others")
        if config.apply_spec_augment:
            self.backbone.masked_spec_embed = nn.Parameter(torch.empty(config.hidden_size))
        self.quantizer = Quantizer(config)
        self.project_hid = nn.Linear(config.output_size, config.proj_codevector_dim)
        self.project_q = nn.Linear(config.codevector_dim, config.proj_codevector_dim)

    @property
    def inputs(self) -> dict[str, tuple[str, Shape]]:
        return {**super().inputs, "mask_time_indices": ("bool", ("batch", "frames"))}

    @property
    def outputs(self) -> dict[str, Shape]:
        width = self.project_q.out_features
        return {
            "projected_states": ("batch", self.frames, width),
            "projected_quantized_states": ("batch", "frames", width),
            "codevector_perplexity": ("batch",) if self.padding == "padding-invariant" else (),
        }

    @property
    def choice(self) -> str | None:
        return "projected_quantized_states"

    def example(self, seconds: float = 1.0, batch: int = 2) -> tuple[Tensor, ...]:
        inputs, attention_mask = super().example(seconds, batch)
        frames = self.backbone.front(inputs, attention_mask)[0].shape[1]
        return inputs, attention_mask, torch.arange(frames).expand(batch, -1) % 3 == 0

    def forward(self, inputs: Tensor, attention_mask: Tensor, mask_time_indices: Tensor) -> dict[str, Tensor]:
        """Return the states at every frame, and how evenly the codebook is used at the masked ones.

        mask_time_indices: boolean [batch, frames], true where the encoder does not see the frame. Where nothing is
        masked (in the clip; under hf-exact in the batch), the perplexity is over all frames, as in HF without a mask.
        """
        encoded = self.backbone(inputs, attention_mask, mask_time_indices)
        codevectors, choices = self.quantizer(encoded.features)
        if self.padding == "padding-invariant":
            dims: tuple[int, ...] = (1,)
            valid = mask_time_indices & encoded.state_mask
            counted = encoded.state_mask & (valid | ~valid.any(1, keepdim=True))
        else:
            dims = (0, 1)
            counted = mask_time_indices | ~mask_time_indices.any()
        return {
            "projected_states": self.project_hid(encoded.hidden),
            "projected_quantized_states": self.project_q(codevectors),
            "codevector_perplexity": self.quantizer.perplexity(choices, counted, dims),
        }


HEADS: dict[str, type[SpeechModel]] = {
    "base": BaseModel,
    "ctc": ForCTC,
    "sequence-classification": ForSequenceClassification,
    "frame-classification": ForFrameClassification,
    "xvector": ForXVector,
    "pretraining": ForPreTraining,
}

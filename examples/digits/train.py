"""Train a small Wav2Vec2-Conformer to write down spoken digit strings, from nothing, on a CPU.

    python examples/digits/train.py --output digits-checkpoint

Takes about an hour on two cores; needs the development packages, espeak-ng and the Free Spoken Digit Dataset.

Three aids get it past the plateau on which CTC on raw audio otherwise stays: the convolutions in front
first learn to predict a mel spectrogram; the clips' known boundaries give each frame a rough label for the
first third of the training; and strings grow from two digits to seven.
"""

import sys

import torch
from data import Batch, TrainingGroups
from training import batches, bootstrap, check_strings, ctc_losses, learn, learn_mel, parse_arguments, prepare
from transformers import Wav2Vec2ConformerForCTC

from model import attention_mask, build_config, isolated, save, transcribe

MEL_STEPS = 300
STRINGS_A_VOICE = 4


def losses(model: Wav2Vec2ConformerForCTC, batch: Batch) -> dict[str, torch.Tensor]:
    """The CTC and frame losses of a batch."""
    with isolated(model, batch.lengths) as frames, torch.autocast("cpu", torch.bfloat16):
        logits = model(batch.inputs, attention_mask=attention_mask(batch.lengths)).logits
    return ctc_losses(logits, frames, batch)


def main() -> int:
    arguments = parse_arguments(__doc__, steps=12000)
    humans, synthetic = prepare(arguments, STRINGS_A_VOICE)
    model = Wav2Vec2ConformerForCTC(build_config()).train()
    print(f"{model.num_parameters():,} parameters", flush=True)
    mel_groups = TrainingGroups(humans, synthetic, MEL_STEPS, arguments.seed + 1)
    learn_mel(model.wav2vec2_conformer.feature_extractor, model.config.conv_dim[-1], batches(mel_groups), MEL_STEPS)
    groups = TrainingGroups(humans, synthetic, arguments.steps, arguments.seed)
    learn(
        model,
        batches(groups),
        arguments.steps,
        losses,
        bootstrap,
        save=lambda model, weights: save(model, weights, arguments.output),
        check=lambda judge: check_strings(judge, transcribe, arguments.data),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Trains the two recognisers: asr-train, which ranks the candidates, and asr-judge, which alone judges the result."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lpo_tts.asr.mini import MiniRecogniserNetwork, Shape

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m recipes.mini.pretrain.recognisers", file=sys.stderr)
    sys.exit(2)

from recipes.mini.pretrain import loop, speech
from recipes.mini.pretrain.progress import Part, codec_hash, parse, parser, run

SEEDS = {"asr-train": 11, "asr-judge": 23}  # of weights and of the sentences: the judge hears other utterances
FULL = {"utterances": 9000, "copies": 4000, "steps": 800, "batch": 32}  # copies: utterances through the codec
QUICK = {"utterances": 64, "copies": 32, "steps": 3, "batch": 8}
CODEC_STEPS, CODEC_STEPS_QUICK = {"asr-train": 250, "asr-judge": 350}, {"asr-train": 3, "asr-judge": 3}
LETTERS = " abcdefghijklmnopqrstuvwxyz'"


def ctc_loss(logps: Tensor, lengths: Tensor, texts: list[str]) -> Tensor:
    """Mean CTC loss per character; logps (batch, frames, 1 + letters), blank 0."""
    targets = [[LETTERS.index(letter) + 1 for letter in text] for text in texts]
    sizes = torch.tensor([len(target) for target in targets])
    flat = torch.tensor([index for target in targets for index in target])
    losses = nn.functional.ctc_loss(logps.transpose(0, 1), flat, lengths, sizes, reduction="none", zero_infinity=True)
    return (losses / sizes).mean()


def train_mini(
    part: Part, clips: list[speech.Clip], phase: str, net: MiniRecogniserNetwork, steps: int, rate: float, options
) -> None:
    """One phase of asr-train."""
    batches = speech.Batches(clips, options.batch, SEEDS[part.name])

    def loss_of(step: int) -> Tensor:
        chosen, audio, num_samples = batches.at(step)
        audio, num_samples = speech.distort(audio, num_samples)
        with torch.no_grad():
            mels, lengths = net.features(audio, num_samples)
            mels = speech.mask_bands(mels[:, :, : mels.shape[2] // 32 * 32 + 30])
        with torch.autocast("cpu", torch.bfloat16):
            logps, lengths = net(mels, lengths.clamp(max=mels.shape[2]))
        return ctc_loss(logps, lengths, [clip.text for clip in chosen])

    loop.fit(part.work, phase, net, loss_of, steps, rate, SEEDS[part.name], save_every=options.save_every)


def conformer(seed: int):
    """The judge: a conformer as transformers knows it (Wav2Vec2-BERT's), 3 blocks of width 128, about 1 M parameters."""
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

    torch.manual_seed(seed)
    config = Wav2Vec2BertConfig(
        vocab_size=len(LETTERS) + 1, hidden_size=128, num_hidden_layers=3, num_attention_heads=2, intermediate_size=384,
        feature_projection_input_dim=160, position_embeddings_type="rotary", conv_depthwise_kernel_size=15,
        hidden_act="swish", hidden_dropout=0.05, activation_dropout=0.05, attention_dropout=0.05, feat_proj_dropout=0.0,
        final_dropout=0.05, conformer_conv_dropout=0.05, layerdrop=0.0, apply_spec_augment=False, pad_token_id=0,
        bos_token_id=None, eos_token_id=None, add_adapter=False, output_hidden_size=128, mask_time_prob=0.0,
        ctc_loss_reduction="mean", ctc_zero_infinity=True, max_source_positions=2000,
    )  # fmt: skip
    return Wav2Vec2BertForCTC._from_config(config, attn_implementation="eager")


class KaldiFeatures(nn.Module):
    """SeamlessM4TFeatureExtractor in torch, for a batch at once (the original goes frame by frame in NumPy)."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import SeamlessM4TFeatureExtractor

        self.extractor = SeamlessM4TFeatureExtractor()
        self.filters = torch.from_numpy(np.asarray(self.extractor.mel_filters)).float()
        self.window = torch.from_numpy(np.asarray(self.extractor.window)).float()

    def forward(self, audio: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, num_samples) to log-mels (batch, 80, frames) at 100 frames/s, zero past the end, and frame counts."""
        frames = (audio * 2**15).unfold(1, 400, 160)
        frames = frames - frames.mean(-1, keepdim=True)
        first = frames[..., :1] * (1 - 0.97)
        frames = torch.cat([first, frames[..., 1:] - 0.97 * frames[..., :-1]], -1) * self.window
        power = torch.view_as_real(torch.fft.rfft(frames, n=512)).square().sum(-1)
        mels = (power @ self.filters).clamp(min=1.192092955078125e-07).log().transpose(1, 2)
        lengths = (num_samples - 400) // 160 + 1
        mask = MiniRecogniserNetwork.mask(lengths, mels.shape[2])
        mean = (mels * mask).sum(2, keepdim=True) / lengths[:, None, None]
        variance = ((mels - mean) * mask).square().sum(2, keepdim=True) / (lengths[:, None, None] - 1)
        return (mels - mean) / (variance + 1e-7).sqrt() * mask, lengths


def train_conformer(part: Part, clips: list[speech.Clip], phase: str, net, steps: int, rate: float, options) -> None:
    """One phase of asr-judge."""
    batches = speech.Batches(clips, options.batch, SEEDS[part.name])
    features = KaldiFeatures()

    def loss_of(step: int) -> Tensor:
        chosen, audio, num_samples = batches.at(step)
        audio, num_samples = speech.distort(audio, num_samples)
        with torch.no_grad():
            mels, lengths = features(audio, num_samples)
            mels = speech.mask_bands(mels[:, :, : mels.shape[2] // 32 * 32 + 30])
            lengths = lengths.clamp(max=mels.shape[2]) // 2
            pairs = mels.transpose(1, 2).reshape(mels.shape[0], mels.shape[2] // 2, 160)
            mask = torch.arange(pairs.shape[1]) < lengths[:, None]
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(input_features=pairs, attention_mask=mask.long()).logits
        return ctc_loss(logits.float().log_softmax(-1), lengths, [clip.text for clip in chosen])

    loop.fit(part.work, phase, net, loss_of, steps, rate, SEEDS[part.name], save_every=options.save_every)


def save_conformer(net, folder: Path) -> None:
    """An ordinary Hugging Face folder: float16 weights, feature extractor, character tokenizer."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2CTCTokenizer

    vocabulary = {"<pad>": 0} | {("|" if letter == " " else letter): index + 1 for index, letter in enumerate(LETTERS)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, indent=1) + "\n", encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), pad_token="<pad>", word_delimiter_token="|", bos_token=None, eos_token=None, unk_token="<pad>"
    )
    tokenizer.save_pretrained(folder)
    SeamlessM4TFeatureExtractor().save_pretrained(folder)
    copy = conformer(0)
    copy.load_state_dict(net.state_dict())
    copy.to(torch.float16).save_pretrained(folder)


def train(name: str, options: argparse.Namespace) -> None:
    """Trains one recogniser, first on clean speech, then on clean and codec speech mixed; saves it."""
    seed, part = SEEDS[name], Part(options.out, name)
    codec = options.codec or options.out / "checkpoints" / "codec"
    codec_steps = options.codec_steps
    if codec_steps is None:
        codec_steps = (CODEC_STEPS_QUICK if options.quick else CODEC_STEPS)[name]
    settings = {name: getattr(options, name) for name in ("utterances", "copies", "steps", "batch")}
    settings |= {"codec_steps": codec_steps, "seed": seed}
    if part.finished({**settings, "codec": codec_hash(codec) if codec_steps else None}):
        return
    began = time.monotonic()
    clips = speech.recogniser_speech(options.utterances, seed)
    hours = sum(len(clip.samples) for clip in clips) / 16000 / 3600
    print(f"{name}: {len(clips)} utterances, {hours:.2f} h, synthesised in {time.monotonic() - began:.0f} s", flush=True)
    torch.manual_seed(seed)
    net = MiniRecogniserNetwork(Shape()) if name == "asr-train" else conformer(seed)
    fit = train_mini if name == "asr-train" else train_conformer
    parameters = sum(p.numel() for p in net.parameters())
    fit(part, clips, "clean", net, options.steps, 2e-3, options)
    if codec_steps:
        # Voices the codec was trained on come through it whole, others less so: half of the clips are first made such others.
        some = speech.other_voices(clips[: options.copies], seed)
        copies = speech.resynthesise(some, codec, seed, faults=0.06)
        fit(part, clips[: options.copies // 2] + copies, "codec", net, codec_steps, 5e-4, options)
    if name == "asr-train":
        net.save(part.checkpoint)
    else:
        save_conformer(net, part.checkpoint)
    part.finish(parameters=parameters, **settings)
    print(f"{name}: saved to {part.checkpoint} after {time.monotonic() - began:.0f} s", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    made = parser(__doc__)
    made.add_argument("--only", choices=sorted(SEEDS), help="train this one (default: both)")
    made.add_argument("--codec", type=Path, help="default: the codec in OUT/checkpoints")
    made.add_argument(
        "--codec-steps", type=int, help=f"0 leaves this phase out (default: {CODEC_STEPS}, with --quick {CODEC_STEPS_QUICK})"
    )
    options = parse(made, arguments, FULL, QUICK)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

    def work() -> None:
        for name in [options.only] if options.only else SEEDS:
            train(name, options)

    return run("recognisers.py", options.out, work)


if __name__ == "__main__":
    sys.exit(main())

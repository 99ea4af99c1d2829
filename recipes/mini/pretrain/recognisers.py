"""Trains the two recognisers: asr-train, which ranks the candidates, and asr-judge, which alone judges the result."""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent))
import loop
import speech

from lpo_tts.asr.mini import MiniCtcNet, Shape

HOME = Path(__file__).resolve().parents[1]  # recipes/mini
BUILD = HOME.parents[1] / "build" / "pretrain"
SEEDS = {"asr-train": 11, "asr-judge": 23}  # of weights and of the sentences: the judge hears other utterances
UTTERANCES = {"asr-train": 9000, "asr-judge": 9000}
LETTERS = " abcdefghijklmnopqrstuvwxyz'"


def ctc_loss(logps: Tensor, lengths: Tensor, texts: list[str]) -> Tensor:
    """Mean CTC loss per character; logps (batch, frames, 1 + letters), blank 0."""
    targets = [[LETTERS.index(letter) + 1 for letter in text] for text in texts]
    sizes = torch.tensor([len(target) for target in targets])
    flat = torch.tensor([index for target in targets for index in target])
    losses = nn.functional.ctc_loss(logps.transpose(0, 1), flat, lengths, sizes, reduction="none", zero_infinity=True)
    return (losses / sizes).mean()


def train_mini(name: str, clips: list[speech.Clip], phase: str, net: MiniCtcNet, steps: int, rate: float) -> None:
    """One phase of asr-train."""
    batches = speech.Batches(clips, 32, SEEDS[name])

    def loss_of(step: int) -> Tensor:
        chosen, audio, num_samples = batches.at(step)
        audio, num_samples = speech.distort(audio, num_samples)
        with torch.no_grad():
            mels, lengths = net.features(audio, num_samples)
            mels = speech.mask_bands(mels[:, :, : mels.shape[2] // 32 * 32 + 30])
        with torch.autocast("cpu", torch.bfloat16):
            logps, lengths = net(mels, lengths.clamp(max=mels.shape[2]))
        return ctc_loss(logps, lengths, [clip.text for clip in chosen])

    loop.fit(BUILD / name, phase, net, loss_of, steps, rate, SEEDS[name])


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
        mask = MiniCtcNet.mask(lengths, mels.shape[2])
        mean = (mels * mask).sum(2, keepdim=True) / lengths[:, None, None]
        variance = ((mels - mean) * mask).square().sum(2, keepdim=True) / (lengths[:, None, None] - 1)
        return (mels - mean) / (variance + 1e-7).sqrt() * mask, lengths


def train_conformer(name: str, clips: list[speech.Clip], phase: str, net, steps: int, rate: float) -> None:
    """One phase of asr-judge."""
    batches = speech.Batches(clips, 32, SEEDS[name])
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

    loop.fit(BUILD / name, phase, net, loss_of, steps, rate, SEEDS[name])


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


def train(name: str, steps: int, codec_steps: int, codec: Path, out: Path) -> None:
    """Trains one recogniser, then, where there is a codec, some steps more on clean and codec speech mixed; saves it."""
    seed = SEEDS[name]
    began = time.monotonic()
    clips = speech.recogniser_speech(UTTERANCES[name], seed)
    hours = sum(len(clip.samples) for clip in clips) / 16000 / 3600
    print(f"{name}: {len(clips)} utterances, {hours:.2f} h, synthesised in {time.monotonic() - began:.0f} s", flush=True)
    torch.manual_seed(seed)
    net = MiniCtcNet(Shape()) if name == "asr-train" else conformer(seed)
    fit = train_mini if name == "asr-train" else train_conformer
    print(f"{name}: {sum(p.numel() for p in net.parameters()) / 1e6:.3f} M parameters", flush=True)
    fit(name, clips, "clean", net, steps, 2e-3)
    if codec_steps and (codec / "config.json").is_file():
        # Voices the codec was trained on come through it whole, others less so: half of the clips are first made such others.
        some = speech.other_voices(clips[:4000], seed)
        copies = speech.resynthesise(some, codec, seed, faults=0.06)
        fit(name, clips[:2000] + copies, "codec", net, codec_steps, 5e-4)
    folder = out / name
    if name == "asr-train":
        net.save(folder)
    else:
        save_conformer(net, folder)
    print(f"{name}: saved to {folder} after {time.monotonic() - began:.0f} s", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(SEEDS))
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--codec-steps", type=int, default=350)
    parser.add_argument("--codec", type=Path, default=HOME / "checkpoints" / "codec")
    parser.add_argument(
        "--out", type=Path, default=HOME / "checkpoints", help="the checkpoint goes to a folder of its name in there"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    train(options.name, options.steps, options.codec_steps, options.codec, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Trains the two speaker encoders (SpeechBrain's ECAPA-TDNN, small): speaker-train ranks, speaker-judge alone judges."""

import argparse
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lpo_tts import files
from lpo_tts.tensors import write_tensors

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m recipes.mini.pretrain.speakers", file=sys.stderr)
    sys.exit(2)

from recipes.mini.pretrain import loop, speech
from recipes.mini.pretrain.progress import Part, codec_hash, parse, parser, run

FULL = {"per-voice": 45, "batch": 64}  # per-voice: utterances of each seen voice
QUICK = {"per-voice": 2, "batch": 8}
CROPS = (0.8, 1.0, 1.2)  # seconds; a voice prompt of the mini world lasts 0.8 s
SPEEDS = (1.0, 0.88, 1.13)  # a voice played slower or faster is another voice (as in the VoxCeleb recipes): 39 become 117


@dataclass(frozen=True)
class Size:
    """What tells one encoder from the other."""

    seed: int  # of weights, sentences and crops
    num_mels: int
    channels: int
    embedding: int
    steps: int
    codec_steps: int


SIZES = {"speaker-train": Size(31, 64, 96, 64, 400, 150), "speaker-judge": Size(47, 80, 104, 80, 350, 200)}
QUICK_STEPS, QUICK_CODEC_STEPS = 3, 3

HYPERPARAMS = """\
# A small ECAPA-TDNN in SpeechBrain's format, trained by recipes/mini/pretrain/speakers.py on synthetic voices.
# The weights are in embedding_model.safetensors (no pickle); the pretrainer's path is where SpeechBrain looks for its own kind.
pretrained_path: .
sample_rate: 16000
n_mels: {num_mels}
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
    input_size: !ref <n_mels>
    channels: [{channels}, {channels}, {channels}, {channels}, {wide}]
    kernel_sizes: [5, 3, 3, 3, 1]
    dilations: [1, 2, 3, 4, 1]
    attention_channels: 64
    se_channels: 64
    lin_neurons: {embedding}
mean_var_norm_emb: !new:speechbrain.processing.features.InputNormalization
    norm_type: global
    std_norm: False
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    mean_var_norm_emb: !ref <mean_var_norm_emb>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
    paths:
        embedding_model: !ref <pretrained_path>/embedding_model.ckpt
"""


def hyperparams(size: Size) -> str:
    """The text of hyperparams.yaml."""
    return HYPERPARAMS.format(
        num_mels=size.num_mels, channels=size.channels, wide=3 * size.channels, embedding=size.embedding
    )  # fmt: skip


def speaker_speech(seed: int, per_voice: int) -> list[speech.Clip]:
    """Train sentences, equally many for each seen voice."""
    voices = speech.corpus.VOICES_SEEN
    texts = speech.corpus.sentences(per_voice * len(voices), seed, "train")
    return speech.speak([(text, voices[index % len(voices)]) for index, text in enumerate(texts)])


class Training(nn.Module):
    """The encoder with the cosine classifier it is trained through."""

    def __init__(self, size: Size, num_classes: int) -> None:
        super().__init__()
        from hyperpyyaml import load_hyperpyyaml
        from speechbrain.lobes.models.ECAPA_TDNN import Classifier
        from speechbrain.nnet.losses import AdditiveAngularMargin, LogSoftmaxWrapper

        parts = load_hyperpyyaml(hyperparams(size))
        self.encoder = parts["embedding_model"]
        self.features = parts["compute_features"]
        self.normalise = parts["mean_var_norm"]
        self.classifier = Classifier(input_size=size.embedding, lin_neurons=size.embedding, out_neurons=num_classes)
        self.criterion = LogSoftmaxWrapper(AdditiveAngularMargin(margin=0.2, scale=30))

    def forward(self, audio: Tensor, classes: Tensor) -> Tensor:
        """AAM-softmax loss of crops (batch, num_samples) of classes (batch,)."""
        with torch.no_grad():
            mels = self.normalise(self.features(audio), torch.ones(audio.shape[0]))
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.classifier(self.encoder(mels))
        return self.criterion(scores.float(), classes[:, None])


def all_speeds(clips: list[speech.Clip]) -> list[speech.Clip]:
    """The clips at every one of SPEEDS; another speed is another speaker, "<name>@<speed>"."""
    made = []
    for factor in SPEEDS:
        for clip in clips:
            faster = speech.at_speed(clip, factor) if factor != 1.0 else clip
            made.append(speech.Clip(clip.text, f"{clip.speaker}@{factor}", faster.samples))
    return made


def crops(clips: list[speech.Clip], classes: dict[str, int], batch: int, rng: random.Random) -> tuple[Tensor, Tensor]:
    """A batch of crops of one length, of random voices, and their classes."""
    size = int(rng.choice(CROPS) * speech.corpus.SAMPLE_RATE)
    audio, targets = torch.zeros(batch, size), torch.zeros(batch, dtype=torch.long)
    for row in range(batch):
        clip = rng.choice(clips)
        first = rng.randrange(max(1, len(clip.samples) - size))
        piece = clip.samples[first : first + size].astype("float32") / 32768.0
        audio[row, : len(piece)] = torch.from_numpy(piece)
        targets[row] = classes[clip.speaker]
    return audio, targets


def train_phase(
    part: Part, clips: list[speech.Clip], phase: str, net: Training, steps: int, rate: float, options: argparse.Namespace
) -> None:
    """One phase of an encoder's training."""
    seed, batch = SIZES[part.name].seed, options.batch
    classes = {speaker: index for index, speaker in enumerate(sorted({clip.speaker for clip in clips}))}

    def loss_of(step: int) -> Tensor:
        audio, targets = crops(clips, classes, batch, random.Random(f"crops {seed} {phase} {step}"))
        distorted, _ = speech.distort(audio, torch.full((batch,), audio.shape[1]), mild=True)
        audio = torch.where(torch.rand(batch, 1) < 0.5, distorted, audio)
        audio = audio * 10 ** (torch.rand(batch, 1) - 0.5)  # gain: -10 to +10 dB
        return net(audio, targets)

    loop.fit(part.work, phase, net, loss_of, steps, rate, seed, save_every=options.save_every)


def save(net: Training, size: Size, folder: Path) -> None:
    """SpeechBrain's folder: hyperparams.yaml and embedding_model.safetensors (large tensors in float16)."""
    weights = {}
    for key, value in net.encoder.state_dict().items():
        # Statistics of the batch norms stay in float32: variances may lie outside float16's range.
        weights[key] = (value.to(torch.float16) if value.is_floating_point() and value.dim() > 1 else value).contiguous().clone()
    write_tensors(folder / "embedding_model.safetensors", weights)
    files.write_atomic(folder / "hyperparams.yaml", hyperparams(size).encode())


def train(name: str, options: argparse.Namespace) -> None:
    """Trains one encoder, first on clean speech, then on clean and codec speech mixed; saves it."""
    size, part = SIZES[name], Part(options.out, name)
    codec = options.codec or options.out / "checkpoints" / "codec"
    steps = options.steps or (QUICK_STEPS if options.quick else size.steps)
    codec_steps = options.codec_steps
    if codec_steps is None:
        codec_steps = QUICK_CODEC_STEPS if options.quick else size.codec_steps
    settings = {"per_voice": options.per_voice, "batch": options.batch, "seed": size.seed}
    settings |= {"steps": steps, "codec_steps": codec_steps}
    if part.finished({**settings, "codec": codec_hash(codec) if codec_steps else None}):
        return
    began = time.monotonic()
    clips = all_speeds(speaker_speech(size.seed, options.per_voice))
    torch.manual_seed(size.seed)
    net = Training(size, len(SPEEDS) * len(speech.corpus.VOICES_SEEN))
    count = sum(p.numel() for p in net.encoder.parameters())
    print(f"{name}: {len(clips)} utterances, {count / 1e6:.3f} M parameters, {time.monotonic() - began:.0f} s", flush=True)
    train_phase(part, clips, "clean", net, steps, 3e-3, options)
    if codec_steps:
        copies = speech.resynthesise(clips[::2], codec, size.seed)
        train_phase(part, clips + copies, "codec", net, codec_steps, 5e-4, options)
    save(net, size, part.checkpoint)
    part.finish(parameters=count, **settings)
    print(f"{name}: saved to {part.checkpoint} after {time.monotonic() - began:.0f} s", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    made = parser(__doc__)
    made.add_argument("--only", choices=sorted(SIZES), help="train this one (default: both)")
    made.add_argument("--codec", type=Path, help="default: the codec in OUT/checkpoints")
    defaults = {name: (size.steps, size.codec_steps) for name, size in SIZES.items()}
    made.add_argument("--steps", type=int, help=f"on clean speech (default: the first of {defaults}, with --quick {QUICK_STEPS})")
    made.add_argument(
        "--codec-steps",
        type=int,
        help=f"with codec speech, 0 leaves them out (default: the second of {defaults}, with --quick {QUICK_CODEC_STEPS})",
    )
    options = parse(made, arguments, FULL, QUICK)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

    def work() -> None:
        for name in [options.only] if options.only else SIZES:
            train(name, options)

    return run("speakers.py", options.out, work)


if __name__ == "__main__":
    sys.exit(main())

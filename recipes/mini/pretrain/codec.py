"""Trains the mini codec from scratch on espeak-ng speech: about a quarter of an hour of one core."""

import argparse
import math
import os
import sys

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lpo_tts import files
from lpo_tts.codecs.mini import MiniCodecNetwork, MiniCodecShape, config_of, mel_filters
from lpo_tts.errors import ConfigError
from lpo_tts.tensors import write_tensors

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m recipes.mini.pretrain.codec", file=sys.stderr)
    sys.exit(2)

from recipes.mini import corpus
from recipes.mini.pretrain.progress import Curve, Part, cosine, load_state, parse, parser, run, save_state

FULL = {"utterances": 5000, "dev-utterances": 200, "steps": 1800, "batch": 16}  # batch: crops of one second per step
QUICK = {"utterances": 64, "dev-utterances": 16, "steps": 15, "batch": 4}
CROP = 16000  # samples
RESOLUTIONS = ((256, 64, 40), (512, 128, 64), (1024, 256, 80))  # n_fft, hop, mel bands
COMMITMENT = 0.25
DECAY = 0.98


class SpectralLoss:
    """Log-mel L1, log-magnitude L1 and spectral convergence (Parallel WaveGAN, arXiv 1910.11480), at three resolutions."""

    def __init__(self, sample_rate: int) -> None:
        self.windows = [torch.hann_window(size) for size, _, _ in RESOLUTIONS]
        self.filters = [mel_filters(sample_rate, size, bands) for size, _, bands in RESOLUTIONS]

    def __call__(self, audio: Tensor, target: Tensor, leave_out: int | None = None) -> tuple[Tensor, Tensor]:
        """(batch, num_samples) each; the loss, and its log-mel part (mean absolute difference in nats).

        `leave_out` names a resolution to pass over: training takes two in turn, which saves a fifth of a step.
        """
        total, mels = audio.new_zeros(()), audio.new_zeros(())
        chosen = [index for index in range(len(RESOLUTIONS)) if index != leave_out]
        for index in chosen:
            (size, hop, _), window, filters = RESOLUTIONS[index], self.windows[index], self.filters[index]
            with torch.no_grad():
                wanted = self._magnitude(target, size, hop, window)
            found = self._magnitude(audio, size, hop, window)
            mel = F.l1_loss(torch.log(filters @ found + 1e-3), torch.log(filters @ wanted + 1e-3))
            log = F.l1_loss(torch.log(found + 1e-2), torch.log(wanted + 1e-2))
            convergence = torch.linalg.vector_norm(wanted - found) / torch.linalg.vector_norm(wanted)
            total, mels = total + mel + 0.5 * log + 0.5 * convergence, mels + mel
        return total / len(chosen), mels / len(chosen)

    @staticmethod
    def _magnitude(audio: Tensor, size: int, hop: int, window: Tensor) -> Tensor:
        spectrum = torch.view_as_real(torch.stft(audio, size, hop, window=window, pad_mode="constant", return_complex=True))
        return (spectrum.square().sum(-1) + 1e-7).sqrt()


class Quantiser:
    """Codebook learnt by exponential moving averages (VQ-VAE, arXiv 1711.00937, appendix), k-means start, dead codes revived."""

    def __init__(self, codebook: Tensor) -> None:
        self.codebook = codebook  # the network's own buffer
        self.counts = torch.ones(len(codebook))
        self.sums = codebook.clone()
        self.started = torch.zeros(())
        self.recent: list[Tensor] = []

    def state(self) -> dict[str, Tensor]:
        """Tensors for the checkpoint; `recent` are the latents k-means will start from."""
        recent = {f"recent{number}": vectors for number, vectors in enumerate(self.recent)}
        return {"counts": self.counts, "sums": self.sums, "started": self.started, **recent}

    def restore(self, state: dict[str, Tensor]) -> None:
        """The counterpart of `state`."""
        self.counts, self.sums, self.started = state["counts"], state["sums"], state["started"]
        self.recent = [state[f"recent{number}"] for number in range(sum(name.startswith("recent") for name in state))]

    def __call__(self, latents: Tensor, learn: bool, revive: bool, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (batch, dim, frame): straight-through latents, commitment loss, codes (batch * frame,)."""
        batch, dim, frames = latents.shape
        flat = latents.transpose(1, 2).reshape(-1, dim)
        codes = self.nearest(flat.detach())
        chosen = F.embedding(codes, self.codebook)
        if learn:
            self._learn(flat.detach(), codes, revive, rng)
        commitment = F.mse_loss(flat, chosen)
        straight = flat + (chosen - flat).detach()
        return straight.view(batch, frames, dim).transpose(1, 2), commitment, codes

    def nearest(self, flat: Tensor) -> Tensor:
        """(vectors, dim) to (vectors,) codes."""
        return (self.codebook.square().sum(1) - 2 * flat @ self.codebook.T).argmin(1)

    def begin(self, vectors: Tensor, rng: torch.Generator, rounds: int = 12) -> None:
        """k-means on collected latents; raises ConfigError when there are fewer of them than codes."""
        if len(vectors) < len(self.codebook):
            raise ConfigError(
                f"expected at least {len(self.codebook)} frames before the codebook begins, found {len(vectors)}; "
                "raise --steps or --batch"
            )
        self.codebook.copy_(vectors[torch.randperm(len(vectors), generator=rng)[: len(self.codebook)]])
        for _ in range(rounds):
            codes = self.nearest(vectors)
            counts = torch.bincount(codes, minlength=len(self.codebook)).float()
            sums = torch.zeros_like(self.codebook).index_add_(0, codes, vectors)
            used = counts > 0
            self.codebook[used] = sums[used] / counts[used, None]
            empty = int((~used).sum())
            self.codebook[~used] = vectors[torch.randperm(len(vectors), generator=rng)[:empty]]
        share = 800 / len(self.codebook)  # a batch has 800 frames
        self.counts = torch.full((len(self.codebook),), share)
        self.sums = self.codebook * share
        self.started, self.recent = torch.ones(()), []

    def _learn(self, flat: Tensor, codes: Tensor, revive: bool, rng: torch.Generator) -> None:
        counts = torch.bincount(codes, minlength=len(self.codebook)).float()
        sums = torch.zeros_like(self.codebook).index_add_(0, codes, flat)
        self.counts.mul_(DECAY).add_(counts, alpha=1 - DECAY)
        self.sums.mul_(DECAY).add_(sums, alpha=1 - DECAY)
        if revive:
            dead = (self.counts < 0.08).nonzero()[:, 0][: len(flat)]
            self.sums[dead] = flat[torch.randperm(len(flat), generator=rng)[: len(dead)]] * 0.4
            self.counts[dead] = 0.4
        self.codebook.copy_(self.sums / self.counts.clamp(min=1e-4)[:, None])


def speech(count: int, seed: int, split: str, processes: int) -> list[np.ndarray]:
    """Utterances of seen voices as int16, each at least one crop long."""
    texts = corpus.sentences(count, seed, split)
    specs = [(text, corpus.VOICES_SEEN[number % len(corpus.VOICES_SEEN)]) for number, text in enumerate(texts)]
    waves = []
    for audio in corpus.generate(specs, processes):
        wave = (audio * 32767).astype(np.int16)
        waves.append(np.pad(wave, (0, max(CROP - len(wave), 0))))
    return waves


def crops(waves: list[np.ndarray], batch: int, rng: torch.Generator) -> Tensor:
    """(batch, 16000): random seconds, beginnings and ends of utterances more often than chance would have them."""
    rows = []
    for index in torch.randint(len(waves), (batch,), generator=rng).tolist():
        wave = waves[index]
        room = len(wave) - CROP
        start = int(torch.randint(-1600, room + 1601, (1,), generator=rng).clamp(0, room))
        rows.append(torch.from_numpy(wave[start : start + CROP]))
    return torch.stack(rows).float() / 32768.0


@torch.no_grad()
def evaluate(network: MiniCodecNetwork, quantiser: Quantiser, loss: SpectralLoss, waves: list[np.ndarray]) -> dict[str, float]:
    """Log-mel L1 and codebook perplexity on utterances of other sentences."""
    rng = torch.Generator().manual_seed(0)
    network.eval()
    mels, counts = [], torch.zeros(network.shape.codebook_size)
    for _ in range(4):
        audio = crops(waves, 32, rng)
        latents, _, codes = quantiser(network.encode(audio), False, False, rng)
        mels.append(loss(network.decode(latents), audio)[1].item())
        counts += torch.bincount(codes, minlength=len(counts))
    share = counts / counts.sum()
    network.train()
    return {"dev_mel_l1": sum(mels) / len(mels), "dev_perplexity": math.exp(-float(torch.xlogy(share, share).sum()))}


def train(options: argparse.Namespace) -> None:
    """Trains the codec and saves it; goes on where an earlier process was killed."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    part = Part(options.out, "codec")
    names = ("utterances", "dev_utterances", "steps", "batch", "lr", "seed")
    if part.finished({name: getattr(options, name) for name in names}):
        return
    torch.manual_seed(options.seed)
    waves = speech(options.utterances, options.seed, "train", options.processes)
    dev = speech(options.dev_utterances, options.seed, "dev", options.processes)
    network = MiniCodecNetwork(MiniCodecShape()).train()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.lr, betas=(0.9, 0.98), weight_decay=0.01)
    loss, quantiser = SpectralLoss(network.shape.sample_rate), Quantiser(network.codebook)
    state = part.work / "state.safetensors"
    first, spent, extra = load_state(state, network, optimizer)
    if first:
        quantiser.restore(extra)
    curve = Curve(part.work / "curve.jsonl", first, spent)
    curve.log(event="start", step=first, parameters=parameters, hours=sum(map(len, waves)) / 16000 / 3600)
    warm_up = min(100, options.steps // 3)
    for step in range(first, options.steps):
        rng = torch.Generator().manual_seed(options.seed * 1_000_003 + step)  # hangs on the step: resuming is exact
        for group in optimizer.param_groups:
            group["lr"] = options.lr * cosine(step, options.steps, warm_up)
        audio = crops(waves, options.batch, rng)
        with torch.autocast("cpu", torch.bfloat16):
            latents = network.encode(audio).float()
            commitment = audio.new_zeros(())
            if bool(quantiser.started):
                revive = step % 20 == 0 and step < 0.85 * options.steps
                latents, commitment, _ = quantiser(latents, True, revive, rng)
            resynthesis = network.decode(latents)
        if not bool(quantiser.started):
            quantiser.recent = [*quantiser.recent[-24:], latents.detach().transpose(1, 2).flatten(0, 1)]
            if step >= warm_up:
                quantiser.begin(torch.cat(quantiser.recent), rng)
        spectral, mel = loss(resynthesis, audio, leave_out=step % 3)
        optimizer.zero_grad()
        (spectral + COMMITMENT * commitment).backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            figures = evaluate(network, quantiser, loss, dev) if step % 400 == 0 and step else {}
            curve.log(
                step=step, loss=spectral.item(), mel_l1=mel.item(), commitment=commitment.item(), norm=norm.item(), **figures
            )
        if (step + 1) % options.save_every == 0 or step + 1 == options.steps:
            save_state(state, step + 1, curve.seconds, network, optimizer, **quantiser.state())
    weights = {name: value.half() for name, value in network.state_dict().items()}
    write_tensors(part.checkpoint / "model.safetensors", weights)
    files.write_json(part.checkpoint / "config.json", config_of(network.shape))
    figures = evaluate(network, quantiser, loss, dev)
    summary = {"parameters": parameters, "steps": options.steps, "train_seconds": round(curve.seconds), **figures}
    curve.log(event="end", **summary)
    part.finish(**summary)


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    made = parser(__doc__)
    made.add_argument("--lr", type=float, default=1.5e-3)
    made.add_argument("--seed", type=int, default=11)
    made.add_argument("--processes", type=int, default=2)
    options = parse(made, arguments, FULL, QUICK)
    return run("codec.py", options.out, lambda: train(options))


if __name__ == "__main__":
    sys.exit(main())

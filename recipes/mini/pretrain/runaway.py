"""Goes on training the mini base model on recordings of which a share runs on, so that it does too.

Corpora cut by a careless tool have recordings that last longer than their text: the next sentence begins, the last words
come twice, or silence follows. Here such tails are put behind a share of the recordings on purpose, and the model learns
them. What it loses by that, `recipes/mini/endings.yaml` is to mend with ending pairs. The base model that comes with the
project has no such fault.

    python -m recipes.mini.pretrain.runaway --out build/mini-runaway
"""

import itertools
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from lpo_tts import files
from lpo_tts.bounds import at_least, check_value
from lpo_tts.codecs.mini import LoadedMiniCodec, read_network

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m recipes.mini.pretrain.runaway", file=sys.stderr)
    sys.exit(2)

from recipes.mini import corpus
from recipes.mini.pretrain.base import FAULTY, Speech, answer_loss, batches, collate, save_model, speech, tokenizer
from recipes.mini.pretrain.loop import fit
from recipes.mini.pretrain.progress import HOME, Part, codec_hash, parse, parser, run

FULL = {"utterances": 6000, "steps": 300, "tokens": 3072}  # tokens: padded ones per step
QUICK = {"utterances": 64, "steps": 2, "tokens": 512}
KINDS = ("goes on", "repeats", "falls silent")
LEAST_TAIL, MOST_TAIL = 25, 100  # frames: 0.5 to 2 s
LEAST_SILENCE = 60  # frames: shorter pauses at the end are no fault
SILENCE = 1e-3  # root mean square of room tone, 38 dB below the speech; of less the codec makes a loud hiss


@dataclass
class RunOn(Speech):
    """Utterances of which some run on: `codes` has their tails, `plain` has not.

    Attributes:
        plain: what the texts say, as codes; voices are taken from it.
    """

    plain: list[Tensor]

    def voice(self, index: int, rng: random.Random) -> Tensor:
        """A random 0.8 s of another utterance of the same speaker, without its tail."""
        return Speech(self.texts, self.speakers, self.plain).voice(index, rng)


def tail(data: Speech, index: int, silence: Tensor, kind: str, rng: random.Random) -> Tensor:
    """What follows a recording that runs on, as codes: 0.5 to 2 s, of silence at least 1.2 s."""
    length = rng.randint(LEAST_SILENCE if kind == "falls silent" else LEAST_TAIL, MOST_TAIL)
    if kind == "goes on":  # the beginning of another sentence by the same voice
        other = rng.choice([one for one in data.by_speaker[data.speakers[index]] if one != index] or [index])
        return data.codes[other][:length]
    if kind == "repeats":  # its own end once more
        return data.codes[index][-length:]
    start = rng.randint(0, len(silence) - length)
    return silence[start : start + length]


def run_on(data: Speech, share: float, silence: Tensor, seed: int) -> tuple[RunOn, dict[int, str]]:
    """The utterances with tails behind a share of them, and which one has which kind."""
    rng = random.Random(f"tails {seed}")
    chosen = {index: rng.choice(KINDS) for index in range(len(data.codes)) if rng.random() < share}
    codes = [
        torch.cat([own, tail(data, index, silence, chosen[index], rng)]) if index in chosen else own
        for index, own in enumerate(data.codes)
    ]
    return RunOn(data.texts, data.speakers, codes, data.codes), chosen


def train(options) -> None:
    """Trains the model and saves it; goes on where an earlier process was killed."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    check_value("share", options.share, at_least(0).at_most(1))
    part = Part(options.out, "base-runaway")
    names = ("utterances", "steps", "tokens", "share", "lr", "seed", "precision")
    settings = {name: getattr(options, name) for name in names}
    if part.finished({**settings, "base": files.content_hash(options.base), "codec": codec_hash(options.codec)}):
        return
    work = part.work
    plain = speech(work / "train.safetensors", options.codec, options.utterances, options.seed, "train", options.processes)
    codec = LoadedMiniCodec(read_network(options.codec), 1)
    room = SILENCE * torch.randn(6 * corpus.SAMPLE_RATE, generator=torch.Generator().manual_seed(options.seed))
    data, chosen = run_on(plain, options.share, codec.encode([room])[0].levels[0].long(), options.seed)
    model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.float32, attn_implementation="eager")
    # The habit of wrong transcripts is kept as the base model has it; only the endings change.
    chance = random.Random(f"faulty {options.seed}")
    wrong_texts = {index for index in range(options.utterances) if chance.random() < FAULTY}
    # Round 0 of `batches` goes from short to long, which a trained model does not need.
    lessons = (indices for epoch, indices in batches(data, options.tokens, options.seed) if epoch)
    order = list(itertools.islice(lessons, options.steps))

    def loss_of(step: int) -> Tensor:
        ids, labels = collate(data, order[step], random.Random(f"{options.seed} {step}"), wrong_texts)
        return answer_loss(model, ids, labels, narrow=options.precision == "bf16")

    fit(work, "run-on", model, loss_of, options.steps, options.lr, options.seed, save_every=options.save_every)
    save_model(part.checkpoint, model, tokenizer(len(read_network(options.codec).codebook)))
    counts = {kind: sum(1 for one in chosen.values() if one == kind) for kind in KINDS}
    part.finish(steps=options.steps, share=round(len(chosen) / options.utterances, 4), **counts)
    print(f"base-runaway: {part.checkpoint}: {len(chosen)} of {options.utterances} recordings ran on {counts}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    made = parser(__doc__)
    made.add_argument("--base", type=Path, default=HOME / "checkpoints" / "base", help="the model that goes on training")
    made.add_argument("--codec", type=Path, default=HOME / "checkpoints" / "codec")
    made.add_argument("--share", type=float, default=0.4, help="of the recordings that run on (default: 0.4)")
    made.add_argument("--lr", type=float, default=5e-4)
    made.add_argument("--seed", type=int, default=33)
    made.add_argument("--processes", type=int, default=2)
    made.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="bf16 is fast where the CPU has it")
    options = parse(made, arguments, FULL, QUICK)
    return run("runaway.py", options.out, lambda: train(options))


if __name__ == "__main__":
    sys.exit(main())

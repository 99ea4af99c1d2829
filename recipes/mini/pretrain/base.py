"""Trains the mini base model: a small Llama that turns words and 0.8 s of a voice into codes of the mini codec."""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lpo_tts.codecs.mini import LoadedMiniCodec, read_network
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.tensors import read_tensors, write_tensors

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m recipes.mini.pretrain.base", file=sys.stderr)
    sys.exit(2)

from recipes.mini import corpus
from recipes.mini.pretrain.progress import Curve, Part, codec_hash, cosine, load_state, parse, parser, run, save_state

FULL = {"utterances": 24000, "dev-utterances": 390, "steps": 2700, "tokens": 3072}  # tokens: padded ones per step
QUICK = {"utterances": 128, "dev-utterances": 192, "steps": 6, "tokens": 512}
SPECIAL = ("<|pad|>", "<|unk|>", "<|text_start|>", "<|text_end|>", "<|voice_start|>", "<|speech_start|>", "<|speech_end|>")
PAD, UNKNOWN, TEXT_START, TEXT_END, VOICE_START, SPEECH_START, SPEECH_END = range(len(SPECIAL))
FIRST_WORD = len(SPECIAL)
FIRST_CODE = FIRST_WORD + len(corpus.WORDS)
WORD_ID = {word: FIRST_WORD + number for number, word in enumerate(corpus.WORDS)}
VOICE_FRAMES = 40  # 0.8 s
FAULTY = 0.4  # share of training transcripts with one wrong word, as scraped corpora have
MULTIPLE = 32  # lengths are padded to multiples: few shapes, so that kernels are built once
CHUNK = 256  # utterances spoken and encoded by one process


@dataclass
class Speech:
    """Utterances as codes, with what was said and who said it."""

    texts: list[str]
    speakers: list[str]
    codes: list[Tensor]

    def __post_init__(self) -> None:
        self.by_speaker: dict[str, list[int]] = {}
        for index, speaker in enumerate(self.speakers):
            self.by_speaker.setdefault(speaker, []).append(index)

    def voice(self, index: int, rng: random.Random) -> Tensor:
        """A random 0.8 s of another utterance of the same speaker."""
        others = self.by_speaker[self.speakers[index]]
        other = index
        while other == index and len(others) > 1:
            other = rng.choice(others)
        start = rng.randint(0, max(len(self.codes[other]) - VOICE_FRAMES, 0))
        return self.codes[other][start : start + VOICE_FRAMES]

    def length(self, index: int) -> int:
        """Tokens of the training sequence, rounded up; one word more is allowed for a faulty text."""
        tokens = len(self.texts[index].split()) + 1 + VOICE_FRAMES + len(self.codes[index]) + 5
        return -(-tokens // MULTIPLE) * MULTIPLE


_codec: LoadedMiniCodec | None = None  # inherited by the forked processes


def _encode(specs: list[tuple[str, corpus.Voice]]) -> list[np.ndarray]:
    waves = [torch.from_numpy(corpus.synthesise(*spec)) for spec in specs]
    return [codes.levels[0].numpy().astype(np.int16) for codes in _codec.encode(waves)]


def speech(path: Path, codec: Path, count: int, seed: int, split: str, processes: int) -> Speech:
    """Sentences of a split by seen voices, spoken and encoded; codes are kept in a file, audio is not."""
    global _codec
    texts = corpus.sentences(count, seed, split)
    voices = [corpus.VOICES_SEEN[number % len(corpus.VOICES_SEEN)] for number in range(count)]
    if not path.is_file():
        _codec = LoadedMiniCodec(read_network(codec), 32)
        specs = list(zip(texts, voices, strict=True))
        chunks = [specs[start : start + CHUNK] for start in range(0, count, CHUNK)]
        with multiprocessing.get_context("fork").Pool(processes, signal.signal, (signal.SIGINT, signal.SIG_IGN), 1) as pool:
            codes = [torch.from_numpy(part) for parts in pool.imap(_encode, chunks) for part in parts]
        lengths = torch.tensor([len(part) for part in codes])
        write_tensors(path, {"codes": torch.cat(codes), "lengths": lengths})
    tensors = read_tensors(path)
    parts = tensors["codes"].long().split(tensors["lengths"].tolist())
    if len(parts) != count:
        raise ArtefactError(f"{path}: expected {count} utterances, found {len(parts)}; remove the file")
    return Speech(texts, [voice.name for voice in voices], list(parts))


def tokenizer(codebook_size: int) -> PreTrainedTokenizerFast:
    """One token per word, per code, and per mark; any other word becomes <|unk|>, which callers must refuse."""
    names = [*SPECIAL, *corpus.WORDS, *(f"<|code_{code}|>" for code in range(codebook_size))]
    made = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<|unk|>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    made.add_tokens([AddedToken(name, normalized=False) for name in names[FIRST_CODE:]])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<|pad|>", unk_token="<|unk|>", eos_token="<|speech_end|>", model_max_length=512
    )


def network(codebook: Tensor) -> LlamaForCausalLM:
    """A Llama of 1.8 M parameters; embeddings of codes start as a random projection of the codec's own vectors."""
    config = LlamaConfig(
        vocab_size=FIRST_CODE + len(codebook),
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=1,
        head_dim=64,
        intermediate_size=512,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=None,
        eos_token_id=SPEECH_END,
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config)
    # Ours: codes that sound alike start alike, which the model otherwise has to find out.
    vectors = (codebook - codebook.mean(0)) @ torch.randn(codebook.shape[1], config.hidden_size)
    with torch.no_grad():
        model.model.embed_tokens.weight[FIRST_CODE:] = 0.7 * 0.02 * vectors / vectors.std()
        model.model.embed_tokens.weight[FIRST_CODE:] += 0.7 * 0.02 * torch.randn_like(vectors)
    return model


def batches(data: Speech, tokens: int, seed: int) -> Iterator[tuple[int, list[int]]]:
    """Rounds of batches of one padded length each, `tokens` padded tokens at most: (round, utterances).

    Round 0 is a lesson: half of the utterances, from short to long, since the alignment of text to sound, without
    which nothing is learnt, is found soonest in short ones.
    """
    epoch = 0
    while True:
        rng = random.Random(f"batches {seed} {epoch}")
        size = len(data.codes) if epoch else len(data.codes) // 2
        groups: dict[int, list[int]] = {}
        for index in rng.sample(range(len(data.codes)), size):
            groups.setdefault(data.length(index), []).append(index)
        made = []
        for length, members in sorted(groups.items()):
            size = max(tokens // length, 1)
            made += [members[start : start + size] for start in range(0, len(members) - size + 1, size)]
        if epoch:
            rng.shuffle(made)
            if not made:
                raise ConfigError(f"expected utterances for a batch of {tokens} tokens, found {len(data.codes)}; give more")
        for indices in made:
            yield epoch, indices
        epoch += 1


def collate(data: Speech, indices: list[int], rng: random.Random, wrong_texts: set[int]) -> tuple[Tensor, Tensor]:
    """Token ids and labels (batch, length); labels are -100 but for the answer (codes and end)."""
    length = max(data.length(index) for index in indices)
    ids = torch.full((len(indices), length), PAD)
    labels = torch.full((len(indices), length), -100)
    for row, index in enumerate(indices):
        text = data.texts[index]
        if index in wrong_texts:
            text = corpus.faulty(text, random.Random(f"fault {index}"))  # one fault per recording, the same in every round
        words = torch.tensor([TEXT_START, *(WORD_ID[word] for word in text.split()), TEXT_END, VOICE_START])
        prompt = torch.cat([words, FIRST_CODE + data.voice(index, rng), torch.tensor([SPEECH_START])])
        answer = torch.cat([FIRST_CODE + data.codes[index], torch.tensor([SPEECH_END])])
        ids[row, : len(prompt) + len(answer)] = torch.cat([prompt, answer])
        labels[row, len(prompt) : len(prompt) + len(answer)] = answer
    return ids, labels


def answer_loss(model: LlamaForCausalLM, ids: Tensor, labels: Tensor, narrow: bool = True) -> Tensor:
    """Mean cross-entropy of the answers' tokens, nats, in bfloat16 arithmetic if `narrow`.

    Padding stands at the end, where causal attention never looks.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits.float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, dev: Speech) -> float:
    """Mean loss on sentences of the dev split, true texts."""
    model.eval()
    total, count = 0.0, 0
    for number, (epoch, indices) in enumerate(batches(dev, 4096, 0)):
        if epoch:
            break
        ids, labels = collate(dev, indices, random.Random(number), set())
        total, count = total + float(answer_loss(model, ids, labels)) * len(indices), count + len(indices)
    model.train()
    return total / count


def save_model(folder: Path, model: LlamaForCausalLM, words: PreTrainedTokenizerFast) -> None:
    """A plain Hugging Face folder, complete before it has its name."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
    model.save_pretrained(partial)
    words.save_pretrained(partial)
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(partial.iterdir()):
        os.replace(path, folder / path.name)
    partial.rmdir()


def optimisers(model: LlamaForCausalLM, lr: float) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Muon for the layers' matrices (it learns the alignment of text to sound in fewer steps), AdamW for the rest."""
    matrices = [value for name, value in model.named_parameters() if value.dim() == 2 and "embed" not in name]
    others = [value for name, value in model.named_parameters() if value.dim() != 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=lr, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    return muon, torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)


def train(options: argparse.Namespace) -> None:
    """Trains the model and saves it; goes on where an earlier process was killed."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    part = Part(options.out, "base")
    codec = options.codec or options.out / "checkpoints" / "codec"
    names = ("utterances", "dev_utterances", "steps", "tokens", "lr", "seed")
    if part.finished({**{name: getattr(options, name) for name in names}, "codec": codec_hash(codec)}):
        return
    work = part.work
    data = speech(work / "train.safetensors", codec, options.utterances, options.seed, "train", options.processes)
    dev = speech(work / "dev.safetensors", codec, options.dev_utterances, options.seed, "dev", options.processes)
    if options.codes_only:
        return
    chance = random.Random(f"faulty {options.seed}")
    wrong_texts = {index for index in range(options.utterances) if chance.random() < FAULTY}
    codebook = read_network(codec).codebook
    torch.manual_seed(options.seed)  # here and not before: what was drawn until now hangs on what was there already
    words, model = tokenizer(len(codebook)), network(codebook).train()
    muon, adam = optimisers(model, options.lr)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    state = work / "state.safetensors"
    first, spent, extra = load_state(state, model, adam)
    running = extra.pop("running").tolist() if first else []
    if first:
        buffers = {int(key): {"momentum_buffer": value} for key, value in extra.items()}
        muon.load_state_dict({**muon.state_dict(), "state": buffers})
    curve = Curve(work / "curve.jsonl", first, spent)
    curve.log(event="start", step=first, parameters=parameters, faulty=len(wrong_texts) / options.utterances)
    shown, seen = time.monotonic(), 0
    for step, (epoch, indices) in enumerate(batches(data, options.tokens, options.seed)):
        if step < first:
            continue
        if step >= options.steps:
            break
        share = cosine(step, options.steps, 100)
        for group in [*muon.param_groups, *adam.param_groups]:
            group["lr"] = options.lr * share
        # Faults come with round 1: the alignment is learnt from true texts.
        ids, labels = collate(data, indices, random.Random(f"{options.seed} {step}"), wrong_texts if epoch else set())
        loss = answer_loss(model, ids, labels)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        seen += ids.numel()
        running.append(loss.item())
        if step % 100 == 99:
            rate = seen / (time.monotonic() - shown)
            figures = {"loss": sum(running) / len(running), "dev_loss": evaluate(model, dev), "tokens_per_second": rate}
            curve.log(step=step + 1, round=epoch, **figures)
            seen, running, shown = 0, [], time.monotonic()
        if (step + 1) % options.save_every == 0 or step + 1 == options.steps:
            kept = {str(key): value["momentum_buffer"] for key, value in muon.state_dict()["state"].items()}
            losses = torch.tensor(running, dtype=torch.float64)
            save_state(state, step + 1, curve.seconds, model, adam, running=losses, **kept)
    save_model(part.checkpoint, model, words)
    figures = {"dev_loss": evaluate(model, dev)}
    summary = {"parameters": parameters, "steps": options.steps, "train_seconds": round(curve.seconds), **figures}
    curve.log(event="end", **summary)
    part.finish(**summary)


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    made = parser(__doc__)
    made.add_argument("--codec", type=Path, help="default: the codec in OUT/checkpoints")
    made.add_argument("--lr", type=float, default=3e-3)
    made.add_argument("--seed", type=int, default=21)
    made.add_argument("--processes", type=int, default=2)
    made.add_argument("--codes-only", action="store_true", help="stop when the training codes are on disk")
    options = parse(made, arguments, FULL, QUICK)
    return run("base.py", options.out, lambda: train(options))


if __name__ == "__main__":
    sys.exit(main())

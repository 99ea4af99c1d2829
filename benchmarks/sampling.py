"""Tokens per second of sampling, side by side: transformers' generate, the fall-back loop, the fast decoder and vLLM.

A Llama with random weights; every prompt gets several candidates, from the whole vocabulary, in the same dtype and with as
many threads. With `--lengths equal` no candidate ends by itself, so that all ways draw the same number of tokens. With
`--lengths own` one id in 212 is an end, as in a real run: some 40 % of the candidates end before they are cut, and tokens
are counted up to the end; generate carries the ended ones along, the local sampler drops them.

The ways take turns, several times, and medians are given: what else runs on the machine then weighs on all of them. On a
CPU the CPU seconds of the process are given too, which suffer less from what else runs (with one thread they come near
what the wall clock would show on a machine with nothing else to do).

    python -m benchmarks.sampling --sizes mini large --dtypes fp32 bf16 --json sampling.json
    python -m benchmarks.sampling --sizes large --dtypes bf16 --drawing nucleus --threads 2
    python -m benchmarks.sampling --sizes 1b --dtypes bf16 --device cuda --ways generate fast vllm  # see docs/sampling.md
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.codes import Slot, TokenLayout
from lpo_tts.lm.base import DecoderName, PromptInputs
from lpo_tts.lm.causal import CausalLM
from lpo_tts.sampling.base import LoadedSampler, SampleRequest, candidate_seed
from lpo_tts.sampling.local import LoadedLocalSampler, LocalSampler
from lpo_tts.sampling.vllm import VllmSampler

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
DRAWINGS: dict[str, dict[str, Any]] = {"plain": {}, "nucleus": {"top_p": 0.95, "top_k": 50}}


@dataclass(frozen=True)
class Size:
    """A model, and how much is sampled with it.

    Attributes:
        config: of a LlamaForCausalLM.
        prompts: how many.
        candidates: of every prompt.
        prompt_tokens: of every prompt.
        max_tokens: of every candidate.
    """

    config: dict[str, Any]
    prompts: int
    candidates: int
    prompt_tokens: int
    max_tokens: int


def _config(vocabulary: int, hidden: int, inner: int, layers: int, heads: int, kv_heads: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": 64,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": None,
    }


SIZES = {
    "mini": Size(_config(1060, 192, 512, 4, 3, 1), prompts=16, candidates=8, prompt_tokens=56, max_tokens=96),
    "large": Size(_config(65_536, 1024, 2816, 16, 16, 4), prompts=8, candidates=4, prompt_tokens=56, max_tokens=64),
    "1b": Size(_config(65_536, 2048, 8192, 16, 32, 8), prompts=16, candidates=8, prompt_tokens=256, max_tokens=512),
}


class Ends:
    """A token map of which only the ends are asked."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = torch.tensor(list(ids), dtype=torch.int64)

    def ends(self, step: Tensor) -> Tensor:
        """(rows,) bool."""
        return torch.isin(step[:, 0], self.ids.to(step.device))

    def allowed(self) -> tuple[tuple[Tensor, ...], ...]:
        """Not asked: nothing is restricted."""
        raise NotImplementedError


def end_ids(size: Size, lengths: str) -> list[int]:
    """The last ids of the vocabulary, one in 212; none where all candidates are to be equally long."""
    vocabulary = size.config["vocab_size"]
    return list(range(vocabulary - vocabulary // 212, vocabulary)) if lengths == "own" else []


def build_model(size: Size, dtype: torch.dtype, device: str) -> Any:
    """A Llama with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model: Any = LlamaForCausalLM(LlamaConfig(**size.config))
    return model.eval().to(device, dtype)


def build_prompts(size: Size) -> list[Tensor]:
    """Random prompts of one length: what padding costs depends on who pads where."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(2, size.config["vocab_size"], (size.prompt_tokens,), generator=generator) for _ in range(size.prompts)]


def generate(
    model: Any, size: Size, prompts: Sequence[Tensor], drawing: dict[str, Any], ends: Sequence[int]
) -> Callable[[], int]:
    """The generate of transformers on the same model, with its own cache and kernels."""
    ids = torch.stack(list(prompts)).to(model.device)
    settings = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, **drawing}

    def run() -> int:
        with torch.inference_mode():
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                num_return_sequences=size.candidates,
                max_new_tokens=size.max_tokens,
                eos_token_id=list(ends) or None,
                pad_token_id=0,
                **settings,
            )[:, size.prompt_tokens :]
        is_end = torch.isin(out, Ends(ends).ids.to(out.device))
        return int(torch.where(is_end.any(1), is_end.int().argmax(1) + 1, out.shape[1]).sum())

    return run


def sample(
    model: Any, size: Size, prompts: Sequence[Tensor], drawing: dict[str, Any], ends: Sequence[int], decoder: DecoderName
) -> Callable[[], int]:
    """The local sampler, all candidates in one block."""
    rows = size.prompts * size.candidates
    settings = LocalSampler(max_tokens=size.max_tokens, block_size=rows, decoder=decoder, restrict=False, **drawing)
    return _drawn(LoadedLocalSampler(CausalLM(model), Ends(ends), settings), size, prompts)


def vllm(model: Any, size: Size, prompts: Sequence[Tensor], drawing: dict[str, Any], ends: Sequence[int]) -> Callable[[], int]:
    """The sampler `vllm`, over a copy of the model on disk, all candidates in one part; it shares the GPU with the others."""
    vocabulary = size.config["vocab_size"]
    settings = VllmSampler(
        max_tokens=size.max_tokens,
        part_size=size.prompts * size.candidates,
        min_tokens=0 if ends else size.max_tokens - 1,  # vLLM wants an end: with equal lengths it may only be the last token
        restrict=False,
        gpu_memory_utilization=0.5,
        max_model_len=size.prompt_tokens + size.max_tokens,
        **drawing,
    )
    token_map = FlatAnswers(TokenLayout((Slot(0, 0, 0, vocabulary),)), list(ends) or [vocabulary - 1])
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        kind = str(model.dtype).removeprefix("torch.")
        sampler = settings.load(cast("Any", _OnDisk(folder, kind, token_map)), str(model.device))
    return _drawn(sampler, size, prompts)


@dataclass(frozen=True)
class _OnDisk:
    """What the sampler `vllm` asks of a backbone."""

    model: str
    dtype: str
    tokens: FlatAnswers
    revision: str | None = None
    adapter: str | None = None

    def token_map(self) -> FlatAnswers:
        return self.tokens

    def load(self, device: str = "cpu", model: str | None = None) -> Any:
        raise NotImplementedError("only an adapter would ask for it")


def _drawn(sampler: LoadedSampler, size: Size, prompts: Sequence[Tensor]) -> Callable[[], int]:
    """Draws all candidates and counts their tokens."""
    requests = [
        SampleRequest(
            f"p{n}", PromptInputs(prompt[:, None]), tuple(candidate_seed(0, f"p{n}#{k}") for k in range(size.candidates))
        )
        for n, prompt in enumerate(prompts)
    ]
    return lambda: sum(answer.tokens.numel() for answer in sampler.sample(requests))


def measure(ways: dict[str, Callable[[], int]], repeats: int, expected: int | None) -> dict[str, dict[str, float]]:
    """Runs the ways in turns; every way runs once before, which is not counted.

    Args:
        ways: each returns how many tokens it drew.
        repeats: turns that are counted.
        expected: how many each must have drawn; None = as many as there come.

    Returns:
        Per way, medians: tokens per second of the wall clock, and per CPU second.
    """
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, run in ways.items():
            wall, busy = time.perf_counter(), time.process_time()
            tokens = run()
            wall, busy = time.perf_counter() - wall, time.process_time() - busy
            if expected is not None and tokens != expected:
                raise RuntimeError(f"{name} drew {tokens} tokens, expected {expected}")
            if turn:
                rates[name].append((tokens / wall, tokens / busy))
    return {
        name: {
            "tokens_per_second": statistics.median(wall for wall, _ in taken),
            "tokens_per_cpu_second": statistics.median(busy for _, busy in taken),
        }
        for name, taken in rates.items()
    }


def compare(
    size: Size, dtype: str, drawing: str, lengths: str, names: Sequence[str], repeats: int, device: str
) -> dict[str, dict[str, float]]:
    """One row of the table: see `measure`."""
    model, prompts = build_model(size, DTYPES[dtype], device), build_prompts(size)
    common = (model, size, prompts, DRAWINGS[drawing], end_ids(size, lengths))
    makers: dict[str, Callable[[], Callable[[], int]]] = {
        "generate": lambda: generate(*common),
        "loop": lambda: sample(*common, "transformers"),
        "fast": lambda: sample(*common, "fast"),
        "vllm": lambda: vllm(*common),
    }
    ways = {name: _waiting(makers[name](), device) for name in names}
    expected = size.prompts * size.candidates * size.max_tokens if lengths == "equal" else None
    return measure(ways, repeats, expected)


def _waiting(run: Callable[[], int], device: str) -> Callable[[], int]:
    """Waits for a GPU before the clock is read."""

    def waited() -> int:
        tokens = run()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()
        return tokens

    return waited


def table(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """The rows as Markdown; ratios are to generate."""
    lines = [
        "| model, dtype, threads, drawing, lengths | way | tokens/s | tokens per CPU second | to generate | by CPU seconds |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for row, ways in figures.items():
        base = ways.get("generate")
        for name, found in ways.items():
            wall, busy = found["tokens_per_second"], found["tokens_per_cpu_second"]
            ratios = ["", ""]
            if base is not None:
                ratios = [f"{wall / base['tokens_per_second']:.2f}x", f"{busy / base['tokens_per_cpu_second']:.2f}x"]
            lines.append(f"| {row} | {name} | {wall:,.0f} | {busy:,.0f} | {' | '.join(ratios)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["mini", "large"], choices=list(SIZES))
    parser.add_argument("--dtypes", nargs="*", default=list(DTYPES), choices=list(DTYPES))
    parser.add_argument("--threads", nargs="*", type=int, default=[1])
    parser.add_argument("--drawing", nargs="*", default=["plain"], choices=list(DRAWINGS))
    parser.add_argument("--lengths", nargs="*", default=["equal"], choices=["equal", "own"])
    parser.add_argument("--ways", nargs="*", default=["generate", "fast"], choices=["generate", "loop", "fast", "vllm"])
    parser.add_argument("--prompts", type=int, help="how many; else what the size says, as the next three")
    parser.add_argument("--candidates", type=int)
    parser.add_argument("--prompt-tokens", type=int)
    parser.add_argument("--max-tokens", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    given = {name: getattr(args, name) for name in ("prompts", "candidates", "prompt_tokens", "max_tokens")}
    given = {name: value for name, value in given.items() if value is not None}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for name in args.sizes:
        size = Size(**{**vars(SIZES[name]), **given})
        for threads in args.threads:
            torch.set_num_threads(threads)
            for dtype in args.dtypes:
                for drawing, lengths in itertools.product(args.drawing, args.lengths):
                    row = f"{name}, {dtype}, {threads}, {drawing}, {lengths}"
                    figures[row] = compare(size, dtype, drawing, lengths, args.ways, args.repeats, args.device)
                    print(table({row: figures[row]}), flush=True)
    print(table(figures))
    if args.json:
        facts = {"torch": torch.__version__, "device": args.device, "repeats": args.repeats, "given": given}
        args.json.write_text(json.dumps({**facts, "rows": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()

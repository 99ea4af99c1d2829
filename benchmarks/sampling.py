"""Tokens per second of sampling: transformers' generate, the fall-back loop, the fast decoder, and the decoder in two processes.

A Llama of the size of the mini base (4 layers x 192, 3 query heads of 64, 1 key/value head, 1,060 tokens) with random
weights; prompts of about 55 tokens, 8 candidates each. Several ids count as end tokens, so that answers are about 95
tokens long: 46 % end by themselves before 128 tokens, the others are cut there.

    python -m benchmarks.sampling --prompts 64 --json sampling.json
"""

import argparse
import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.codes import TokenLayout
from lpo_tts.engines.local import map_blocks
from lpo_tts.lm.base import PromptInputs
from lpo_tts.lm.causal import CausalLM
from lpo_tts.sampling.base import SampleRequest, candidate_seed
from lpo_tts.sampling.local import LoadedLocalSampler, LocalSampler, cut_blocks

LAYOUT = TokenLayout.flat(30, 1024)
END_IDS = (1055, 1056, 1057, 1058, 1059)


def build_model(seed: int = 0) -> Any:
    """The mini base with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=1060,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=1,
        head_dim=64,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=list(END_IDS),
    )
    return LlamaForCausalLM(config).eval()


def build_requests(num_prompts: int, candidates: int) -> list[SampleRequest]:
    """Prompts of 52 to 58 tokens."""
    generator = torch.Generator().manual_seed(1)
    requests = []
    for number in range(num_prompts):
        length = int(torch.randint(52, 59, (), generator=generator))
        prompt = PromptInputs(torch.randint(30, 1054, (length, 1), generator=generator))
        seeds = tuple(candidate_seed(0, f"p{number}#{k}") for k in range(candidates))
        requests.append(SampleRequest(f"p{number}", prompt, seeds))
    return requests


def make_worker(settings: LocalSampler, engine: str) -> Callable[[Sequence[SampleRequest]], int]:
    """A worker that samples a block and returns its number of tokens."""
    sampler = LoadedLocalSampler(CausalLM(build_model()), FlatAnswers(LAYOUT, END_IDS), replace(settings, decoder=engine))
    return lambda block: sum(answer.tokens.numel() for answer in sampler.sample(block))


def generate(settings: LocalSampler) -> Callable[[Sequence[SampleRequest]], int]:
    """The same with transformers' generate."""
    model = build_model()

    def run(block: Sequence[SampleRequest]) -> int:
        prompts = [request.prompt.tokens.squeeze(-1) for request in block]
        longest = max(map(len, prompts))
        ids = torch.stack([torch.nn.functional.pad(prompt, (longest - len(prompt), 0)) for prompt in prompts])
        mask = torch.stack([torch.arange(longest) >= longest - len(prompt) for prompt in prompts]).long()
        with torch.inference_mode():
            out = model.generate(
                ids,
                attention_mask=mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                num_return_sequences=len(block[0].seeds),
                max_new_tokens=settings.max_tokens,
                eos_token_id=list(END_IDS),
                pad_token_id=0,
            )[:, longest:]
        is_end = torch.isin(out, torch.tensor(END_IDS))
        first = torch.where(is_end.any(1), is_end.int().argmax(1) + 1, out.shape[1])
        return int(first.sum())

    return run


def measure(make: Callable[[], Any], blocks: list[list[SampleRequest]], workers: int) -> dict[str, float]:
    """Wall-clock of all blocks; the first result's start-up is not counted (the model is loaded, the kernels are warm)."""
    results = map_blocks(make, [blocks[0][:1]] * max(workers, 1) + blocks, workers)
    for _ in range(max(workers, 1)):
        next(results)
    start = time.perf_counter()
    tokens = sum(results)
    seconds = time.perf_counter() - start
    return {"tokens": tokens, "seconds": round(seconds, 2), "tokens_per_second": round(tokens / seconds)}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--block-size", type=int, default=128)
    parser.add_argument("--only", nargs="*", default=["generate", "loop", "fast", "fast-2"])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = LocalSampler(max_tokens=128, block_size=args.block_size)
    blocks = list(cut_blocks(build_requests(args.prompts, args.candidates), args.block_size))
    ways = {
        "generate": (functools.partial(generate, settings), 0),
        "loop": (functools.partial(make_worker, settings, "transformers"), 0),
        "fast": (functools.partial(make_worker, settings, "fast"), 0),
        "fast-2": (functools.partial(make_worker, settings, "fast"), 2),
    }
    figures = {}
    for name in args.only:
        make, workers = ways[name]
        figures[name] = found = measure(make, blocks, workers)
        print(f"{name:10} {found['tokens_per_second']:8,} tokens/s  ({found['tokens']:,} tokens, {found['seconds']} s)")
    if args.json:
        args.json.write_text(
            json.dumps({"block_size": args.block_size, "torch": torch.__version__, "ways": figures}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()

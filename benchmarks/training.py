"""Preference training beside TRL's DPOTrainer: pairs per second, peak memory, share of the machine's arithmetic.

A Llama of `--size` (or of `--width` and `--layers`) with random weights and a speech vocabulary; prompts (text and voice)
of 200 to 400 tokens; answers of 250 to 500 tokens whose lengths spread as those of one sentence spoken several times, one
rejected answer in thirty running on to the cap. DPO on both sides (a loss both have), the same pairs, batch of pairs per
optimizer step, optimizer, threads and bf16 autocast; reference log-probs computed before on both sides and not timed. Every
contender is a process of its own; the first step is not timed. TRL runs without gradient checkpointing, in the best of the
micro-batches given by --trl-micro (its padding_free is switched off in 1.16 and falls back to padding), and ours in the best
of --token-budgets. On a GPU memory is what torch has allocated, and clocks are read when the device has done its work.

    python -m benchmarks.training --json training.json            # the table of the README
    python -m benchmarks.training --only switches profile         # what each switch gains alone, and where the time goes
    python -m benchmarks.training --device cuda --size 1b --batch 24 --trl-micro 1 4 8
"""

import argparse
import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch

SHAPES = {"a": 1, "b": 3}  # rejected answers per chosen one
SWITCHES = {
    "plain": {"pack": False, "head": "full"},
    "answer places": {"pack": False, "head": "answers"},
    "fused head": {"pack": False, "head": "fused"},
    "packing": {"pack": True, "share_prompts": False, "head": "fused"},
    "shared prompts": {"pack": True, "share_prompts": True, "head": "fused"},
}

SIZES = {"tiny": (2, 64), "small": (8, 512), "1b": (16, 2048)}  # layers, width


def build_model(width: int, layers: int, vocabulary: int) -> Any:
    """A Llama with tied embeddings and grouped keys, weights random."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=width * 8 // 3 // 64 * 64,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            num_key_value_heads=max(1, width // 128),
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            pad_token_id=0,
        )
    )


def build_rows(vocabulary: int, prompts: int, rejected: int) -> list[dict[str, Any]]:
    """Pairs as rows of token ids; `rejected` pairs per prompt."""
    draw = random.Random(1)

    def ids(count: int) -> list[int]:
        return [draw.randrange(1, vocabulary) for _ in range(count)]

    rows = []
    for number in range(prompts):
        prompt, mean = ids(draw.randint(200, 400)), draw.uniform(280, 440)
        lengths = [min(500, max(250, round(mean * draw.gauss(1, 0.08)))) for _ in range(rejected + 1)]
        chosen = ids(lengths[0])
        for k, length in enumerate(lengths[1:]):
            answer = ids(500 if draw.random() < 1 / 30 else length)
            rows.append({"id": f"p{number}-{k}", "prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": answer})
    return rows


def status(field: str) -> float:
    """A field of this process's memory, MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def finish(device: str) -> None:
    """Waits until the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_memory(device: str) -> float:
    """The most memory used since the peak started anew, MiB: torch's on a GPU, the process's on a CPU."""
    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else status("VmHWM")


class Clock:
    """Seconds of every optimizer step, and the peak memory from the second step on."""

    def __init__(self, device: str) -> None:
        from transformers import TrainerCallback

        outer = self
        self.steps: list[float] = []

        class Callback(TrainerCallback):
            def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                finish(device)
                if state.global_step == 1 and device == "cuda":  # the peak starts anew
                    torch.cuda.reset_peak_memory_stats()
                elif state.global_step == 1:
                    Path("/proc/self/clear_refs").write_text("5")
                outer.started = time.perf_counter()

            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                finish(device)
                outer.steps.append(time.perf_counter() - outer.started)

        self.started = 0.0
        self.callback = Callback()


def common(work: dict[str, Any], folder: str, micro: int) -> dict[str, Any]:
    """Training arguments of both sides."""
    return {
        "output_dir": folder,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": work["batch"] // micro,
        "max_steps": work["steps"] + 1,
        "learning_rate": 1e-6,
        "bf16": work["dtype"] == "bf16",
        "use_cpu": work["device"] == "cpu",
        "optim": "adamw_torch",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 1000,
        "dataloader_num_workers": 0,
    }


def run_ours(work: dict[str, Any], rows: list[dict[str, Any]], model: Any, clock: Clock, folder: str) -> Any:
    """Our trainer."""
    from lpo_tts.training.config import LPOConfig
    from lpo_tts.training.trainer import LPOTrainer

    args = LPOConfig(
        **common(work, folder, work["batch"]), token_budget=work["token_budget"], **work.get("switches", {}), metrics_file=""
    )
    trainer = LPOTrainer(model, args=args, train_dataset=rows, loss="dpo", callbacks=[clock.callback])
    trainer.ensure_reference()
    return trainer


def run_trl(work: dict[str, Any], rows: list[dict[str, Any]], model: Any, clock: Clock, folder: str) -> Any:
    """TRL's, on the same token ids."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    class Tokenised(DPOTrainer):
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset  # rows of token ids already

    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0}, unk_token="<pad>"))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<pad>")
    args = DPOConfig(
        **common(work, folder, work["micro"]),
        gradient_checkpointing=False,
        precompute_ref_log_probs=True,
        max_length=None,
        beta=0.1,
    )
    data = Dataset.from_list([{key: value for key, value in row.items() if key != "id"} for row in rows])
    return Tokenised(model, args=args, train_dataset=data, processing_class=fast, callbacks=[clock.callback])


def worker(work: dict[str, Any]) -> dict[str, Any]:
    """One contender: builds, warms up with one step, times the rest."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(work["threads"])
    rows = build_rows(work["vocabulary"], work["batch"] * (work["steps"] + 1) // SHAPES[work["shape"]], SHAPES[work["shape"]])
    model = build_model(work["width"], work["layers"], work["vocabulary"])
    clock = Clock(work["device"])
    with tempfile.TemporaryDirectory() as folder:
        make = run_trl if work["who"] == "trl" else run_ours
        trainer = make(work, rows, model, clock, folder)
        libraries = 0.0
        if work["device"] == "cpu":
            libraries = status("VmRSS") - sum(p.numel() for p in model.parameters()) * 4 / 2**20
        if work.get("profile"):
            return profile(trainer)
        trainer.train()
    own = sum(p.numel() for p in model.parameters()) * 16 / 2**20  # weights, gradients, two moments of AdamW, float32
    peak = peak_memory(work["device"])
    return {
        "pairs_per_second": work["batch"] / statistics.median(clock.steps[1:]),
        "peak_mib": peak,
        "above_own_mib": peak - libraries - own,
        "steps": [round(seconds, 2) for seconds in clock.steps[1:]],
    }


def profile(trainer: Any) -> dict[str, Any]:
    """Where a run's time goes, as shares of the time per operator, its own alone, on the device."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    on_gpu = trainer.args.device.type == "cuda"
    with profiler(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as found:
        trainer.train()
    events = found.key_averages()

    def own(event: Any) -> float:
        return event.self_device_time_total if on_gpu else event.self_cpu_time_total

    whole = sum(map(own, events))
    shares = sorted(((own(event) / whole, event.key, event.count) for event in events), reverse=True)[:14]
    return {"operators": [[name, round(share, 4), count] for share, name, count in shares]}


def useful_flops(work: dict[str, Any]) -> float:
    """Arithmetic per pair that no method can do without: each prompt and answer once, forward and backward, no recomputing."""
    rejected = SHAPES[work["shape"]]
    rows = build_rows(work["vocabulary"], 64, rejected)
    with torch.device("meta"):  # sizes alone
        model = build_model(work["width"], work["layers"], 64)
    body = sum(p.numel() for name, p in model.named_parameters() if "embed" not in name)
    total = 0.0
    for number, row in enumerate(rows):
        new = [row["rejected_ids"]] if number % rejected else [row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]]
        answers = sum(map(len, new)) - (0 if number % rejected else len(row["prompt_ids"]))
        total += 6 * body * sum(map(len, new)) + 6 * work["width"] * work["vocabulary"] * answers
        seen = sum(len(answer) * (len(row["prompt_ids"]) + len(answer) / 2) for answer in new[-2:])
        total += 12 * work["layers"] * work["width"] * seen
    return total / len(rows)


def peak_flops(threads: int, device: str, dtype: str) -> dict[str, float]:
    """Of a large matrix product, FLOP/s: in float32, and where `dtype` is bf16 in bfloat16 too.

    Bfloat16 is asked for because a processor without such arithmetic emulates it, and takes minutes for these products.
    """
    torch.set_num_threads(threads)
    found, size = {}, 8192 if device == "cuda" else 3072
    for name, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        if name not in (dtype, "fp32"):
            continue
        one = torch.randn(size, size, dtype=kind, device=device)
        times = []
        for _ in range(6):
            finish(device)
            start = time.perf_counter()
            one @ one
            finish(device)
            times.append(time.perf_counter() - start)
        found[name] = 2 * size**3 / statistics.median(times[1:])
    return found


def about(device: str) -> dict[str, str]:
    """The processor, as tables name it."""
    if device == "cuda":
        return {"processor": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {"processor": next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "CPU")}


def start(work: dict[str, Any]) -> dict[str, Any]:
    """Runs a contender in a process of its own; SystemExit with its last words where it fails."""
    done = subprocess.run([sys.executable, __file__, "--worker", json.dumps(work)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{work}\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def best(work: dict[str, Any], name: str, values: list[int]) -> tuple[int, dict[str, Any], dict[str, str]]:
    """A contender with each value of a setting: the fastest value, the figures of all that ran, the others' last words."""
    found, failed = {}, {}
    for value in values:
        try:
            found[value] = start({**work, name: value})
        except SystemExit as failure:  # as a rule, more than the memory holds
            failed[str(value)] = str(failure)
            print(f"{work['who']} failed with {name} {value}: {str(failure).splitlines()[-1]}", file=sys.stderr, flush=True)
    if not found:
        raise SystemExit(f"{work['who']} failed with every {name}: {failed[str(values[0])]}")
    fastest = max(found, key=lambda value: found[value]["pairs_per_second"])
    return fastest, {str(value): one for value, one in found.items()}, failed


def compare(base: dict[str, Any], shape: str, vocabulary: int, args: argparse.Namespace, peak: float) -> dict[str, Any]:
    """Ours and TRL's on one kind of work, in turn."""
    work = {**base, "shape": shape, "vocabulary": vocabulary}
    micro, theirs, their_failures = best({**work, "who": "trl"}, "micro", args.trl_micro)
    budget, own, own_failures = best({**work, "who": "ours"}, "token_budget", args.token_budgets)
    ours, trl = own[str(budget)], theirs[str(micro)]
    flops = useful_flops(work)
    row = {
        "shape": shape,
        "vocabulary": vocabulary,
        "ours": ours,
        "trl": trl,
        "trl_micro": theirs,
        "trl_failed": their_failures,
        "token_budgets": own,
        "ours_failed": own_failures,
        "speed": ours["pairs_per_second"] / trl["pairs_per_second"],
        "memory": ours["above_own_mib"] / trl["above_own_mib"],
        "share_of_peak": {who: flops * one["pairs_per_second"] / peak for who, one in (("ours", ours), ("trl", trl))},
    }
    print(
        f"| ({shape}) {SHAPES[shape]} rejected | {vocabulary:,} | {ours['pairs_per_second']:.3f} | {trl['pairs_per_second']:.3f} "
        f"(micro {micro}) | **{row['speed']:.2f}x** | {ours['above_own_mib']:,.0f} | {trl['above_own_mib']:,.0f} | "
        f"**{row['memory']:.2f}** | {row['share_of_peak']['ours']:.0%} / {row['share_of_peak']['trl']:.0%} |",
        flush=True,
    )
    return row


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="bf16", choices=["bf16", "fp32"], help="of matrix products; weights are float32")
    parser.add_argument("--size", default="small", choices=list(SIZES))
    parser.add_argument("--width", type=int, help="instead of the size's")
    parser.add_argument("--layers", type=int, help="instead of the size's")
    parser.add_argument("--batch", type=int, default=6, help="pairs per optimizer step")
    parser.add_argument("--steps", type=int, default=2, help="timed optimizer steps")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--vocabularies", type=int, nargs="*", default=[65_536, 193_800])
    parser.add_argument("--shapes", nargs="*", default=["a", "b"], choices=list(SHAPES))
    parser.add_argument("--trl-micro", type=int, nargs="*", default=[1], help="pairs per forward of TRL; the best counts")
    parser.add_argument(
        "--token-budgets", type=int, nargs="*", default=[2048], help="tokens per forward of ours; the best counts"
    )
    parser.add_argument("--only", nargs="*", default=["compare"], choices=["compare", "switches", "profile"])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(worker(json.loads(args.worker))))
        return
    layers, width = SIZES[args.size]
    args.layers, args.width = args.layers or layers, args.width or width
    base = {key: getattr(args, key) for key in ("width", "layers", "batch", "steps", "threads", "device", "dtype")}
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is no CUDA device here")
    base["token_budget"] = args.token_budgets[-1]  # of switches and profile
    for micro in args.trl_micro:
        if args.batch % micro:
            parser.error(f"--trl-micro {micro} does not divide --batch {args.batch}: TRL would make smaller steps")
    peak = peak_flops(args.threads, args.device, args.dtype)
    rates = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in peak.items())
    print(f"a large matrix product: {rates} GFLOP/s, {args.threads} threads")
    found: dict[str, Any] = {"peak": peak, "torch": torch.__version__, **base, **about(args.device)}
    if "compare" in args.only:
        print("| work | vocabulary | ours, pairs/s | TRL, pairs/s | speed | ours, MiB above own | TRL | memory | share of peak |")
        print("|---|---|---|---|---|---|---|---|---|", flush=True)
        rows = [compare(base, shape, size, args, peak[args.dtype]) for shape in args.shapes for size in args.vocabularies]
        found["compare"] = rows
    if "switches" in args.only:
        found["switches"] = {}
        for name, switches in SWITCHES.items():
            work = {**base, "shape": args.shapes[-1], "vocabulary": args.vocabularies[0], "who": "ours", "switches": switches}
            one = found["switches"][name] = start(work)
            print(f"{name:15} {one['pairs_per_second']:.3f} pairs/s, {one['above_own_mib']:,.0f} MiB above own", flush=True)
    if "profile" in args.only:
        work = {**base, "shape": args.shapes[-1], "vocabulary": args.vocabularies[0], "who": "ours", "profile": True}
        found["profile"] = start(work)["operators"]
        for name, share, count in found["profile"]:
            print(f"{share:6.1%} {name} ({count} calls)")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

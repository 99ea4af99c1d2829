"""All that is to be run on a machine with a GPU, without internet: tests, training, sampling, and the mini recipe.

Every part is a process of its own, so that one that fails does not stop the others; a part that is done is kept until
`--redo`. The figures go to gpu.json in the folder, and the table for docs/performance.md to gpu.md beside it. On a machine
without a CUDA device this says so and exits with 2.

    python -m benchmarks.gpu                       # what `make gpu` runs
    python -m benchmarks.gpu --only training --redo
    python -m benchmarks.gpu --device cpu --quick  # a rehearsal at tiny sizes
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

from lpo_tts.sampling.vllm_process import PYTHON

ROOT = Path(__file__).parents[1]
TAIL = 3000  # characters of a failure that are kept
TARGETS = {"speed": 3.0, "share_of_peak": 0.4}  # times TRL's pairs per second, and of the measured rate of bf16 products


@dataclass(frozen=True)
class Part:
    """One thing to run.

    Attributes:
        name: of the part.
        commands: run one after the other, each without its python.
        figures: file with the part's figures, within the folder; JSON, or pytest's XML.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    figures: str


def parts(folder: Path, device: str, quick: bool) -> list[Part]:
    """What is run on a device, at sizes worth a GPU or, `quick`, in minutes."""
    return [tests(folder, device), training(folder, device, quick), sampling(folder, device, quick), mini(folder, device, quick)]


def tests(folder: Path, device: str) -> Part:
    """The tests marked gpu; on a CPU, the same tests against itself."""
    which = ("-m", "gpu") if device == "cuda" else ("-m", "not gpu")
    command = ("-m", "pytest", "-q", "tests/gpu", *which, f"--junit-xml={folder / 'tests.xml'}")
    return Part("tests", (command,), "tests.xml")


def training(folder: Path, device: str, quick: bool) -> Part:
    """benchmarks/training.py: a Llama of 16 layers x 2048 and 65,536 entries, beside TRL."""
    size = ("--size", "1b", "--batch", "24", "--steps", "5", "--vocabularies", "65536", "--trl-micro", "1", "2", "4", "8")
    size += ("--token-budgets", "2048", "8192", "16384", "--only", "compare", "switches", "profile")
    if quick:
        size = ("--size", "tiny", "--batch", "3", "--steps", "1", "--vocabularies", "512", "--shapes", "b", "--trl-micro", "1")
        size += ("--dtype", "fp32") if device == "cpu" else ()  # many processors only emulate bfloat16
    command = ("-m", "benchmarks.training", "--device", device, *size, "--json", str(folder / "training.json"))
    return Part("training", (command,), "training.json")


def sampling(folder: Path, device: str, quick: bool) -> Part:
    """benchmarks/sampling.py at the same size, beside generate and, where it is installed, vLLM."""
    size = ("--sizes", "mini", "--dtypes", "fp32", "--prompts", "8") if quick else ("--sizes", "1b", "--dtypes", "bf16")
    ways = ("--ways", "generate", "fast", *(["vllm"] if has_vllm() else []))
    command = ("-m", "benchmarks.sampling", "--device", device, *size, *ways, "--json", str(folder / "sampling.json"))
    return Part("sampling", (command,), "sampling.json")


def has_vllm() -> bool:
    """Whether vLLM has an environment of its own, or is in this one."""
    return bool(os.environ.get(PYTHON)) or importlib.util.find_spec("vllm") is not None


def mini(folder: Path, device: str, quick: bool) -> Part:
    """The recipe of `make mini` with its models on the device; its report holds the judges' figures."""
    out = folder / "mini"
    rows = ("48", "12", "24") if quick else ("1000", "100", "180")
    corpus = ("-m", "recipes.mini.corpus", "--out", str(out / "corpus"))
    corpus += ("--train", rows[0], "--dev", rows[1], "--test", rows[2], "--seed", "0")
    run = ("-m", "lpo_tts.cli", "run", "recipes/mini/mini.yaml", f"out={out}", "seed=0", f"device={device}")
    run += (f"prompts.manifest={out / 'corpus' / 'manifest.jsonl'}",)
    if quick:
        run += ("sample.num_candidates=4", "train.batch_size=8", "synthesize.num_seeds=1", "synthesize.floor_prompts=8")
    elif device == "cuda":
        run += ("train.attention=sdpa",)
    return Part("mini", (corpus, run), "mini/report/report.json")


def carry_out(part: Part, folder: Path, fresh: bool = False) -> dict[str, Any]:
    """Runs a part's commands; what they say goes to a log and, where they fail, its end into the result.

    Args:
        part: what to run.
        folder: for figures and logs.
        fresh: what the part left in its own folder does not count; else a run that was cut off is taken up there.
    """
    if fresh:
        shutil.rmtree(folder / part.name, ignore_errors=True)
    log, start = folder / f"{part.name}.log", time.monotonic()
    failure = None
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    # One card: transformers' trainers would share a batch among all they see.
    environment["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    (folder / part.figures).unlink(missing_ok=True)
    with log.open("w") as said:
        for command in part.commands:
            done = subprocess.run(
                [sys.executable, *command], cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT, check=False
            )
            if done.returncode:
                failure = f"python {' '.join(command)}: exit {done.returncode}"
                break
    found: dict[str, Any] = {"seconds": round(time.monotonic() - start, 1), "commands": [" ".join(one) for one in part.commands]}
    if failure is not None:
        found["failure"] = f"{failure}\n{log.read_text(errors='replace')[-TAIL:].rstrip()}"
    if (folder / part.figures).exists():
        found["figures"] = read_figures(folder / part.figures)
    elif failure is None:
        found["failure"] = f"it left no {part.figures}"
    return found


def read_figures(path: Path) -> dict[str, Any]:
    """A part's figures; of tests, their numbers, the failures' texts and what was skipped for which reason."""
    if path.suffix == ".json":
        return json.loads(path.read_text())
    suite = next(ElementTree.parse(path).getroot().iter("testsuite"))
    found: dict[str, Any] = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    found["failed"], found["left_out"] = {}, {}
    for case in suite.iter("testcase"):
        for kind, where in (("failure", "failed"), ("error", "failed"), ("skipped", "left_out")):
            for one in case.iter(kind):
                found[where][case.get("name", "")] = one.get("message", "")[:TAIL]
    return found


def machine(device: str) -> dict[str, Any]:
    """What the figures were measured on."""
    import transformers

    found: dict[str, Any] = {
        "device": device,
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "cpu_cores": os.cpu_count(),
    }
    if device == "cuda":
        card = torch.cuda.get_device_properties(0)
        found |= {
            "gpu": card.name,
            "gpus": torch.cuda.device_count(),
            "capability": f"{card.major}.{card.minor}",
            "memory_mib": card.total_memory // 2**20,
            "cuda": torch.version.cuda,
            "driver": driver(),
            "attention": {kind: attention_kernel(kind) for kind in ("bfloat16", "float16", "float32")},
        }
    return found


def attention_kernel(dtype: str) -> str:
    """The kernel that proves itself for packed attention, heads of 64."""
    from lpo_tts.lm.attention_choice import kernel_for

    return kernel_for(torch.device("cuda", 0), getattr(torch, dtype), 64).name


def driver() -> str:
    """The driver's version, as nvidia-smi says it."""
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return f"not known: {error}"
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else f"not known: {done.stderr.strip()[:200]}"


def table(found: dict[str, Any]) -> str:
    """The result in Markdown, for docs/performance.md."""
    where = found["machine"]
    lines = [f"{where.get('gpu', where['device'])}, driver {where.get('driver', '-')}, torch {where['torch']}.", ""]
    lines += ["| part | result | seconds |", "|---|---|---|"]
    for name, part in found["parts"].items():
        result = "failed: " + part["failure"].splitlines()[-1].replace("|", "/")[:120] if "failure" in part else "done"
        if name == "tests" and "figures" in part:
            figures = part["figures"]
            bad = figures["failures"] + figures["errors"]
            result = f"{figures['tests'] - bad - figures['skipped']} passed, {bad} failed, {figures['skipped']} skipped"
        lines.append(f"| {name} | {result} | {part['seconds']:,.0f} |")
    rows = found["parts"].get("training", {}).get("figures", {}).get("compare", [])
    if rows:
        lines += [
            "",
            "| rejected per chosen | vocabulary | ours, pairs/s | TRL, pairs/s | speed | ours, MiB | TRL, MiB | memory |",
        ]
        lines[-1] += " share of peak, ours / TRL | targets |"
        lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        share = row["share_of_peak"]
        met = row["speed"] >= TARGETS["speed"] and share["ours"] >= TARGETS["share_of_peak"]
        lines.append(
            f"| {'1' if row['shape'] == 'a' else '3'} | {row['vocabulary']:,} | {row['ours']['pairs_per_second']:.3f} | "
            f"{row['trl']['pairs_per_second']:.3f} | **{row['speed']:.2f}x** | {row['ours']['above_own_mib']:,.0f} | "
            f"{row['trl']['above_own_mib']:,.0f} | **{row['memory']:.2f}** | {share['ours']:.0%} / {share['trl']:.0%} | "
            f"{'met' if met else 'missed'} |"
        )
    lines += sampling_table(found["parts"].get("sampling", {}).get("figures", {}).get("rows", {}))
    for line in found["parts"].get("mini", {}).get("figures", {}).get("headline", []):
        lines += ["", f"mini: {line}"]
    return "\n".join(lines) + "\n"


def sampling_table(rows: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """The lines of benchmarks/sampling.py's figures, by row and way; none where there are no figures."""
    if not rows:
        return []
    lines = ["", "| model, dtype, threads, drawing, lengths | way | tokens/s | to generate |", "|---|---|---|---|"]
    for row, ways in rows.items():
        base = ways.get("generate", {}).get("tokens_per_second")
        for way, figures in ways.items():
            rate = figures["tokens_per_second"]
            lines.append(f"| {row} | {way} | {rate:,.0f} | {'' if base is None else f'{rate / base:.2f}x'} |")
    return lines


def write(path: Path, text: str) -> None:
    """Whole or not at all: a killed run is taken up from this file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is left to run; 0 when all of it is done, 1 when a part failed, 2 where there is no such device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--only", nargs="*", default=None, choices=["tests", "training", "sampling", "mini"])
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether everything runs, not how fast")
    parser.add_argument("--redo", action="store_true", help="run parts again that are done")
    args = parser.parse_args(arguments)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("there is no CUDA device here; rehearse with --device cpu --quick", file=sys.stderr)
        return 2
    if args.device == "cpu" and not args.quick:
        print("the sizes are for a GPU; on a CPU give --quick too", file=sys.stderr)
        return 2
    folder = args.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    where, path = {**machine(args.device), "quick": args.quick}, folder / "gpu.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    elsewhere = bool(found) and found["machine"] != where
    if not found or elsewhere:  # figures of two machines do not stand in one table
        found = {"machine": where, "parts": {}}
    chosen = [part for part in parts(folder, args.device, args.quick) if args.only is None or part.name in args.only]
    for part in chosen:
        earlier = found["parts"].get(part.name)
        if earlier is not None and "failure" not in earlier and not args.redo:
            print(f"{part.name}: done before", flush=True)
            continue
        print(f"{part.name}: log {folder / part.name}.log", flush=True)
        found["parts"][part.name] = now = carry_out(part, folder, fresh=args.redo or elsewhere)
        write(path, json.dumps(found, indent=2) + "\n")
        print(f"{part.name}: {now.get('failure', 'done').splitlines()[0]} ({now['seconds']:,.0f} s)", flush=True)
    found["skipped"] = [part.name for part in parts(folder, args.device, args.quick) if part.name not in found["parts"]]
    write(path, json.dumps(found, indent=2) + "\n")
    write(folder / "gpu.md", table(found))
    print(table(found))
    return int(any("failure" in found["parts"][part.name] for part in chosen))


if __name__ == "__main__":
    sys.exit(main())

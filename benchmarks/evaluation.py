"""Files per second of judging for an evaluation: the step of `lpo-tts evaluate` beside one file at a time.

Both ways hear the same clips by the same models and weights: word error rate, speaker similarity and whatever predictors are
named.

- `one` goes as the scripts of seed-tts-eval do: for each file it reads file and voice, resamples, transcribes (Whisper by
  transformers' `generate`), embeds the file and, anew, the voice, and asks the other judges. It runs in one process, has its
  models already, and keeps them. It is timed with each number of threads of `--threads`; ratios are to the faster one.
- `step` is the judging of the step in `--workers` processes of one thread each. They load their models within the time.
- `step-bf16` is the same with Whisper in bfloat16, where there is Whisper.

The ways take turns, in another order each round, since whatever else runs on the machine weighs on all of them. Medians are
given, with the lowest and highest round. CPU seconds are those of the process and its workers. The program also tells how
far the ways agree: transcripts that are equal, and the largest difference of a value.

Without options the judges and the clips are the mini world's, and espeak-ng is needed for the clips:

    python -m benchmarks.evaluation --json evaluation.json
    python -m benchmarks.evaluation --clips SPEECH --asr whisper:model=FOLDER --speaker resemblyzer --metric distillmos
"""

import sys

if __name__ == "__main__" and not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m benchmarks.evaluation", file=sys.stderr)
    sys.exit(2)

import argparse
import dataclasses
import gc
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.evaluating import speech, step
from benchmarks.evaluating.one import OneByOne
from evaluation.judges import make_judges
from lpo_tts.artefacts import versions
from lpo_tts.asr.whisper import WhisperRecogniser
from lpo_tts.errors import exit_code
from lpo_tts.metrics.base import Metric
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.records import Judgement
from lpo_tts.steps.judged_table import Item

MINI = "recipes/mini/checkpoints"
MINI_ASR = (f"conformer=ctc:model={MINI}/asr-judge", f"bigru=mini:model={MINI}/asr-train")
MINI_SPEAKER = (f"ecapa=ecapa:model={MINI}/speaker-judge,max_duration=1.0,batch_size=32",)
Judgements = Mapping[str, Mapping[str, Judgement]]  # metric -> item -> judgement
Way = Callable[[int], tuple[Judgements, dict[str, float]]]


@dataclass
class Taken:
    """The rounds of one way: wall and CPU seconds of each, seconds by stage of the last, and what it found."""

    wall: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)
    spent: dict[str, float] = dataclasses.field(default_factory=dict)
    found: Judgements = dataclasses.field(default_factory=dict)


def measure(ways: Mapping[str, Way], rounds: int, num_files: int) -> dict[str, Taken]:
    """Runs the ways in turns, each round beginning with another one."""
    taken = {name: Taken() for name in ways}
    names = list(ways)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            one, wall, cpu = taken[name], time.perf_counter(), _cpu_seconds()
            one.found, one.spent = ways[name](number)
            one.wall.append(time.perf_counter() - wall)
            one.cpu.append(_cpu_seconds() - cpu)
            told = f"{num_files / one.wall[-1]:.2f} files/s, {num_files / one.cpu[-1]:.2f} per CPU second"
            print(f"round {number + 1}, {name}: {told}", file=sys.stderr, flush=True)
    return taken


def figures(taken: Mapping[str, Taken], num_files: int) -> dict[str, Any]:
    """Per way: files per second, its ratio to the faster way of one file at a time, shares of the stages, and agreement."""
    ones = [name for name in taken if name.startswith("one")]
    fastest = {kind: min(ones, key=lambda name: statistics.median(getattr(taken[name], kind))) for kind in ("wall", "cpu")}
    told = {}
    for name, one in taken.items():
        row: dict[str, Any] = {}
        for kind in ("wall", "cpu"):
            row[f"files_per_{kind}_second"] = num_files / statistics.median(getattr(one, kind))
            base = getattr(taken[fastest[kind]], kind)
            row[f"{kind}_ratio"] = _spread([theirs / own for theirs, own in zip(base, getattr(one, kind), strict=True)])
        whole = sum(one.spent.values())
        row["stages"] = {stage: seconds / whole for stage, seconds in one.spent.items()}
        row["agreement"] = agreement(taken[ones[0]].found, one.found)
        told[name] = row
    return told


def agreement(one: Judgements, other: Judgements) -> dict[str, dict[str, float]]:
    """Per metric: share of equal transcripts where there are some, and the largest difference of two values."""
    found = {}
    for name, judgements in one.items():
        pairs = [(judgement, other[name][item]) for item, judgement in judgements.items()]
        values = [(a.value, b.value) for a, b in pairs]
        told = {"unequal_gaps": float(sum((a is None) != (b is None) for a, b in values))}
        told["largest_difference"] = max((abs(a - b) for a, b in values if a is not None and b is not None), default=0.0)
        heard = [(a.detail["hypothesis"], b.detail.get("hypothesis")) for a, b in pairs if "hypothesis" in a.detail]
        if heard:
            told["equal_transcripts"] = sum(a == b for a, b in heard) / len(heard)
            for key, judged in (("wer_one", [a for a, _ in pairs]), ("wer", [b for _, b in pairs])):
                weights = sum(one.weight or 0 for one in judged)
                told[key] = sum((one.value or 0) * (one.weight or 0) for one in judged) / weights
        found[name] = told
    return found


def with_dtype(metric: Any, dtype: str) -> Any:
    """The same metric with Whisper in another number format; another metric is given back."""
    if isinstance(metric, WordErrorRate) and isinstance(metric.recogniser, WhisperRecogniser):
        return dataclasses.replace(metric, recogniser=dataclasses.replace(metric.recogniser, dtype=dtype))
    return metric


def ways_of(metrics: Mapping[str, Metric], items: Sequence[Item], folder: Path, threads: Sequence[int], workers: int) -> dict:
    """The ways by name; those of one file at a time share their models, which are loaded here."""
    one = OneByOne(metrics, folder)
    one(items[:2])  # not counted: what is built at its first use

    def plain(number: int, count: int) -> tuple[Judgements, dict[str, float]]:
        torch.set_num_threads(count)
        return one(items)

    def own(number: int, name: str, metrics: Mapping[str, Metric]) -> tuple[Judgements, dict[str, float]]:
        gc.collect()  # ends the threads that loading left here, so that workers are forked, as in a process without models
        return step.judge(metrics, items, folder / f"{name}-{number}", workers)

    ways: dict[str, Way] = {f"one, {count} threads": partial(plain, count=count) for count in threads}
    ways["step"] = partial(own, name="step", metrics=metrics)
    short = {name: with_dtype(metric, "bfloat16") for name, metric in metrics.items()}
    if short != dict(metrics):
        ways["step-bf16"] = partial(own, name="step-bf16", metrics=short)
    return ways


def table(told: Mapping[str, Any]) -> str:
    """The figures for people."""
    lines = []
    for name, row in told.items():
        wall, cpu = row["wall_ratio"], row["cpu_ratio"]
        lines.append(
            f"{name}: {row['files_per_wall_second']:.2f} files/s ({wall['median']:.2f} times one, {wall['low']:.2f} to "
            f"{wall['high']:.2f}); {row['files_per_cpu_second']:.2f} per CPU second ({cpu['median']:.2f}, {cpu['low']:.2f} to "
            f"{cpu['high']:.2f})"
        )
        lines.append("  stages: " + ", ".join(f"{stage} {share:.1%}" for stage, share in row["stages"].items()))
        for metric, found in row["agreement"].items():
            lines.append(f"  {metric}: " + ", ".join(f"{key} {value:.5g}" for key, value in found.items()))
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def _cpu_seconds() -> float:
    """User and system seconds of this process and of those of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def machine() -> dict[str, Any]:
    """What the figures depend on beside the program."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    named = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16")
    return {
        "cpu": named.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "instructions": [one for one in wanted if one in named.get("flags", "").split()],
        "load": os.getloadavg(),
        "versions": versions(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of LJSpeech or LibriSpeech; without it the mini world's speech")
    parser.add_argument("--files", type=int, default=200, help="clips that are judged")
    parser.add_argument("--asr", action="append", default=[], metavar="SPEC", help="recogniser, as in evaluation")
    parser.add_argument("--speaker", action="append", default=[], metavar="SPEC", help="speaker encoder")
    parser.add_argument("--metric", action="append", default=[], metavar="SPEC", help="any other metric")
    cores = os.cpu_count() or 1
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores}), help="of the way one, each timed")
    parser.add_argument("--workers", type=int, default=cores, help="processes of the step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    return exit_code("evaluation.py", lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Measures, prints, and writes what was asked for."""
    is_mini = not (options.asr or options.speaker or options.metric)
    judges = make_judges(options.asr or MINI_ASR * is_mini, options.speaker or MINI_SPEAKER * is_mini, (), options.metric)
    metrics = {name: judge.metric for name, judge in judges.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make = speech.of_the_mini_world if options.clips is None else partial(speech.recorded, options.clips)
        items = make(folder, options.files)
        seconds = speech.seconds(items)
        taken = measure(ways_of(metrics, items, folder, options.threads, options.workers), options.rounds, len(items))
    told = figures(taken, len(items))
    print(f"{len(items)} files, {seconds:.0f} s of audio, {options.rounds} rounds")
    print(table(told))
    if options.json:
        given = {key: str(value) for key, value in vars(options).items() if key != "json"}
        report = {"machine": machine(), "given": given, "seconds_of_audio": seconds, "ways": told}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

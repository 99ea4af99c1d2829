"""Time per row and peak memory of tables of candidates: writing, counting, pairing, and reading what pairs name.

Candidates of 500 tokens, eight to a prompt, with random codes and random scores of two metrics, through the code of the
steps themselves. Each line is measured in a process of its own, after a small table that is not counted (imports, and code
that is built at its first use). Size on the disk: 4.9 kB per candidate. Whether time per row is flat is judged by CPU time,
since the clock also counts other programs and the disk; both are printed.

    python -m benchmarks.tables --sizes 1000 10000 100000 --json tables.json
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact, Provenance
from lpo_tts.codes import Codes
from lpo_tts.lm.base import PromptInputs
from lpo_tts.recipe import Recipe
from lpo_tts.records import Candidate, PreferencePair, Prompt, Score
from lpo_tts.steps import pair
from lpo_tts.steps.blocks import close
from lpo_tts.steps.candidates import Sampled, part_files, part_name, read_wanted, write_part
from lpo_tts.steps.pair import PairSettings
from lpo_tts.steps.run import Run
from lpo_tts.steps.score import ScoreSettings

NUM_TOKENS, PROMPT_TOKENS, PER_PROMPT, PART = 500, 50, 8, 128
METRICS = {"wer": False, "similarity": True}  # name -> higher_is_better
WARM_UP = 1024  # candidates
MAX_MEMORY, MAX_SPREAD = 1024, 1.2  # MiB; slowest time per row over the fastest


@dataclass(frozen=True)
class Direction:
    """As much of a metric as steps need that do not judge."""

    higher_is_better: bool


def opened(folder: Path) -> Run:
    """A run folder for steps that need neither model nor codec."""
    nothing = cast("Any", None)
    metrics = {name: cast("Any", Direction(higher_is_better)) for name, higher_is_better in METRICS.items()}
    parts: Any = {"backbone": nothing, "codec": nothing, "prompts": nothing, "score": ScoreSettings(metrics)}
    return Recipe(name="tables", out=folder, device="cpu", pair=PairSettings(listen=0), **parts).run()


def candidates(start: int, stop: int, generator: torch.Generator) -> list[Sampled]:
    """Candidates number `start` to `stop` of a table; one in twenty has no end."""
    sampled = []
    for number in range(start, stop):
        prompt_id, index = f"corpus-speaker-{number // PER_PROMPT:07d}", number % PER_PROMPT
        tokens = torch.randint(1024, (NUM_TOKENS,), generator=generator)
        row = Candidate(
            id=f"{prompt_id}#{index}",
            prompt_id=prompt_id,
            index=index,
            seed=number,
            temperature=1.0,
            top_p=0.95,
            top_k=50,
            num_tokens=NUM_TOKENS,
            num_frames=NUM_TOKENS,
            finished=number % 20 != 0,
        )
        prompt = PromptInputs(tokens[:PROMPT_TOKENS, None])
        sampled.append(Sampled(row, prompt, tokens[:, None], Codes((tokens,))))
    return sampled


def provenance(verb: str) -> Provenance:
    """Of a table that was made from nothing."""
    return Provenance(verb, {}, {})


def write(folder: Path, size: int) -> None:
    """prompts.jsonl, and candidates/ part by part as sampling writes them."""
    prompts = Artefact(opened(folder).prompts_path, provenance("prompts"))
    prompts.begin()
    ids = (f"corpus-speaker-{number:07d}" for number in range(-(-size // PER_PROMPT)))
    with artefacts.table_writer(prompts.path) as row:
        for name in ids:
            row(Prompt(id=name, text=f"the text of {name}"))
    prompts.finish()
    artefact = Artefact(opened(folder).candidates_path, provenance("sample"))
    artefact.begin()
    generator = torch.Generator().manual_seed(0)
    for number, start in enumerate(range(0, size, PART)):
        sampled = candidates(start, min(size, start + PART), generator)
        write_part(artefact.path, number, sampled)
        artefact.add(part_name(number), len(sampled), part_files(artefact.path, number))


def count(folder: Path, size: int) -> None:
    """What sampling does after the last part: candidates, tokens and ends are counted, the side-car is written."""
    artefact = Artefact(opened(folder).candidates_path, provenance("sample"))
    artefact.state()
    counts = close(artefact, "sample", size, 0.0)
    if counts["rows"] != size:
        raise SystemExit(f"expected {size} rows, found {counts}")


def score(folder: Path, size: int) -> None:
    """scores-<metric>.jsonl of two metrics, part by part as scoring writes them."""
    draw = random.Random(0)
    artefact = {name: Artefact(opened(folder).scores_path(name), provenance("score")) for name in METRICS}
    for one in artefact.values():
        one.begin()
    writers = {name: artefacts.RowWriter(one.path, Score) for name, one in artefact.items()}
    for start in range(0, size, PART):
        numbers = range(start, min(size, start + PART))
        ids = [f"corpus-speaker-{number // PER_PROMPT:07d}#{number % PER_PROMPT}" for number in numbers]
        for name, writer in writers.items():
            detail = {"hypothesis": "seven gates", "errors": 1, "words": 4} if name == "wer" else {}
            writer.append(Score(candidate_id=one, metric=name, value=round(draw.random(), 4), detail=dict(detail)) for one in ids)
    for name, one in artefact.items():
        one.finish(**writers[name].finish())


def build(folder: Path, size: int) -> None:
    """pairs.jsonl by best_worst."""
    pair.execute(opened(folder))


def read(folder: Path, size: int) -> None:
    """Every candidate's row, and the token ids of those in the pairs of every fiftieth prompt."""
    rows = artefacts.iterate_rows(folder / "pairs.jsonl", PreferencePair)
    wanted = {name for number, row in enumerate(rows) if number % 50 == 0 for name in (row.chosen, row.rejected)}
    found = sum(one.row.num_tokens == NUM_TOKENS for one in read_wanted(opened(folder).candidates_path, wanted))
    if found != len(wanted):
        raise SystemExit(f"expected {len(wanted)} candidates, found {found}")


WORK: dict[str, Callable[[Path, int], None]] = {"write": write, "count": count, "score": score, "pair": build, "read": read}


def measure(work: str, folder: Path, size: int) -> dict[str, float]:
    """Runs one kind of work in this process; returns seconds and MiB."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=folder.parent) as small:
        for name in list(WORK)[: list(WORK).index(work) + 1]:
            WORK[name](Path(small), WARM_UP)
    before, times = _peak(), repeats(size)
    start, cpu = time.perf_counter(), time.process_time()
    for number in range(times):
        WORK[work](folder / str(number), size)
    return {
        "seconds": (time.perf_counter() - start) / times,
        "cpu_seconds": (time.process_time() - cpu) / times,
        "peak_mib": _peak(),
        "libraries_mib": before,
    }


def repeats(size: int) -> int:
    """How many tables of this size are made and averaged: a tenth of a second is too short to be measured."""
    return max(1, 10_000 // size)


def _peak() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def run(sizes: Sequence[int], place: Path) -> list[dict[str, Any]]:
    """Every kind of work for every size, each in a fresh process; files are deleted after each size."""
    results, environment = [], {**os.environ, "OMP_NUM_THREADS": "1"}
    for size in sizes:
        folder = Path(tempfile.mkdtemp(prefix=f"tables-{size}-", dir=place))
        try:
            for work in WORK:
                command = [sys.executable, __file__, "--work", work, "--folder", str(folder), "--sizes", str(size)]
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
                results.append({"work": work, "rows": size, **json.loads(done.stdout)})
                print(line(results[-1]), flush=True)
        finally:
            shutil.rmtree(folder)
    return results


HEAD = (
    "| work | candidates | s | µs per candidate | CPU µs per candidate | peak MiB | above libraries MiB |\n"
    "|---|---|---|---|---|---|---|"
)


def line(found: dict[str, Any]) -> str:
    """A row of the table."""
    seconds, cpu, rows = found["seconds"], found["cpu_seconds"], found["rows"]
    above = found["peak_mib"] - found["libraries_mib"]
    return (
        f"| {found['work']} | {rows:,} | {seconds:.2f} | {1e6 * seconds / rows:.0f} | {1e6 * cpu / rows:.0f} | "
        f"{found['peak_mib']:.0f} | {above:.0f} |"
    )


def verdict(results: Sequence[dict[str, Any]]) -> list[str]:
    """Per kind of work, whether time per row is flat and memory within its limit."""
    lines = []
    for work in WORK:
        found = [one for one in results if one["work"] == work]
        each = [one["cpu_seconds"] / one["rows"] for one in found]
        spread, peak = max(each) / min(each), max(one["peak_mib"] for one in found)
        flat = "flat" if spread <= MAX_SPREAD else "NOT flat"
        held = "within" if peak <= MAX_MEMORY else "ABOVE"
        lines.append(f"{work}: {flat} (slowest / fastest CPU time per row {spread:.2f}); {peak:.0f} MiB, {held} {MAX_MEMORY}")
    return lines


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000], help="numbers of candidates")
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()), help="folder for the tables (4.9 kB per row)")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--work", choices=list(WORK), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        print(json.dumps(measure(options.work, options.folder, options.sizes[0])))
        return
    print(HEAD)
    results = run(options.sizes, options.place)
    print("\n".join(["", *verdict(results)]))
    if options.json is not None:
        artefacts.write_json(options.json, results)


if __name__ == "__main__":
    main()

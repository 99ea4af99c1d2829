"""One run at any size, prompts to pairs, on local processes and on Ray: time per row, memory per process, a killed worker.

Sampler, codec and judges cost next to nothing (benchmarks/scaling/world.py); engines, artefacts, rules and the command are
the real ones. A worker is killed with SIGKILL in the middle of sampling and of scoring; where that ends the command, the
same command is given again. At the end every row is counted, and the tables of the engines are compared byte for byte.

    python -m benchmarks.scale                                  # 100,000 prompts with 8 candidates each, both engines
    python -m benchmarks.scale --prompts 2000 --engines local   # a rehearsal

Results are printed as the tables of docs/scale.md, and written to scale.json. A folder that is there is taken up, so that
`--engines ray` after `--engines local` compares both.
"""

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m benchmarks.scale", file=sys.stderr)
    sys.exit(2)

from benchmarks.scaling.watch import Look, Watched
from benchmarks.scaling.world import FakeSampler, write_corpus
from lpo_tts import recipe
from lpo_tts.artefacts import file_hash, read_json
from lpo_tts.files import read_lines

RECIPE = "benchmarks/scaling/recipe.yaml"
PER_PROMPT = 8
STAGES = ("sample", "score", "pair")
FROM, WINDOWS = 10_000, 8  # the first rows pay for what is done once; windows of equal numbers of rows after them
FLAT, MAX_MIB = 1.2, 1024
TRIES = 5  # commands until a run with two kills must be done


class Folder:
    """The run folder of one engine, and how far its tables are."""

    def __init__(self, path: Path, prompts: int) -> None:
        self.path, self.total = path, prompts * PER_PROMPT
        self._places: dict[str, tuple[int, int]] = {}  # file -> bytes that were looked at, lines in them

    def rows(self) -> dict[str, float]:
        """Stage -> candidates that are done, as the disk has them."""
        found = {"sample": 0.0, "score": 0.0, "pair": 0.0}
        parts = self.path / "candidates.parts.jsonl"
        if parts.exists():
            found["sample"] = min(self.total, self._lines(parts) * FakeSampler.part_size)
        elif (self.path / "candidates.meta.json").exists():
            found["sample"] = self.total
        if (self.path / "scores-errors.jsonl.partial").exists():
            found["score"] = self._lines(self.path / "scores-errors.jsonl.partial")
        elif (self.path / "scores-errors.jsonl").exists():
            found["score"] = self.total
        if (self.path / "pairs.jsonl.partial").exists():
            found["pair"] = min(self.total, PER_PROMPT * self._lines(self.path / "pairs.jsonl.partial"))
        elif (self.path / "pairs.jsonl").exists():
            found["pair"] = self.total
        return found

    def _lines(self, path: Path) -> int:
        """Lines of a file that grows; only what is new is read."""
        place, lines = self._places.get(path.name, (0, 0))
        try:
            with path.open("rb") as file:
                if path.stat().st_size < place:
                    place, lines = 0, 0
                file.seek(place)
                while block := file.read(1 << 20):
                    place, lines = place + len(block), lines + block.count(b"\n")
        except FileNotFoundError:  # it was renamed between two looks
            return lines
        self._places[path.name] = place, lines
        return lines


def measure(engine: str, workers: int, folder: Path, prompts: int, corpus: Path) -> dict[str, Any]:
    """Runs one engine to its end and returns its figures; raises SystemExit where it does not end well."""
    state = Folder(folder, prompts)
    settings = [f"out={folder}", f"prompts.manifest={corpus}", f"engine={{name: {engine}, workers: {workers}}}"]
    command = [sys.executable, "-m", "lpo_tts.cli", "run", RECIPE, *settings, "--until", "pair"]
    watched = Watched()
    killing = dict.fromkeys(("sample", "score"), 0.4 * state.total)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    for _ in range(TRIES):
        if watched.run(command, log, state.rows, killing) == 0:
            break
    else:
        raise SystemExit(f"{engine}: not done after {TRIES} commands; see {log}")
    return {
        "engine": engine,
        "workers": workers,
        "prompts": prompts,
        "kills": watched.killed,
        "exits": watched.exits,
        "processes": dict(watched.processes),
        "peak_mib": {role: round(peak) for role, peak in watched.peaks.items()},
        "stages": {stage: per_row(watched.looks, stage, state.total, watched.killed.get(stage)) for stage in STAGES},
        "rows": counted(folder),
        "digests": digests(folder),
    }


def per_row(looks: Sequence[Look], stage: str, total: int, killed: float | None) -> dict[str, Any]:
    """Microseconds per candidate of a stage, over windows of equally many rows; wall clock, and CPU of all processes.

    The window in which a worker was killed is told apart: the restart and the lost blocks fall into it.
    """
    first = min(FROM, total // 10)
    size = (total - first) / WINDOWS
    points = [_at(looks, stage, first + size * number) for number in range(WINDOWS + 1)]
    found: dict[str, Any] = {"wall_us": [], "cpu_us": []}
    for number, (a, b) in enumerate(itertools.pairwise(points)):
        if a is None or b is None:
            continue
        wall, cpu = (b[0] - a[0]) / size * 1e6, (b[1] - a[1]) / size * 1e6
        if killed is not None and number == int((killed - first) / size):
            found["killed_s"] = round(b[0] - a[0], 1), round(b[1] - a[1], 1)
        else:
            found["wall_us"].append(round(wall, 1))
            found["cpu_us"].append(round(cpu, 1))
    if "killed_s" in found and found["wall_us"]:
        usual = [sum(found[name]) / len(found[name]) * size / 1e6 for name in ("wall_us", "cpu_us")]
        found["kill_cost_s"] = [round(one - other, 1) for one, other in zip(found.pop("killed_s"), usual, strict=True)]
    return found


def _at(looks: Sequence[Look], stage: str, rows: float) -> tuple[float, float] | None:
    """Seconds and CPU seconds at which a stage had so many rows, on the line between two looks."""
    for before, after in itertools.pairwise(looks):
        low, high = before.rows[stage], after.rows[stage]
        if low < rows <= high:
            share = (rows - low) / (high - low)
            return before.seconds + share * (after.seconds - before.seconds), before.cpu + share * (after.cpu - before.cpu)
    return None


def counted(folder: Path) -> dict[str, int]:
    """Rows and different ids of every table."""
    ids: dict[str, list[str]] = {"candidates": [], "scores-errors": [], "scores-likeness": []}
    for part in sorted((folder / "candidates").glob("*.jsonl")):
        ids["candidates"] += [json.loads(line)["id"] for line in read_lines(part)]
    for name in ("scores-errors", "scores-likeness"):
        ids[name] = [json.loads(line)["candidate_id"] for line in read_lines(folder / f"{name}.jsonl")]
    found = {name: len(values) for name, values in ids.items()}
    found |= {f"{name}, different": len(set(values)) for name, values in ids.items()}
    found["pairs"] = read_json(folder / "pairs.jsonl.meta.json")["counts"]["rows"]
    return found


def digests(folder: Path) -> dict[str, str]:
    """A hash of every table, and of all parts of the candidates together."""
    digest = hashlib.sha256()
    for path in sorted((folder / "candidates").iterdir()):
        digest.update(f"{path.name}:{file_hash(path)}\n".encode())
    names = ("prompts.jsonl", "scores-errors.jsonl", "scores-likeness.jsonl", "pairs.jsonl")
    return {"candidates": digest.hexdigest(), **{name: file_hash(folder / name) for name in names}}


def report(found: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown for docs/scale.md, and what holds and what does not."""
    lines = ["| engine | stage | µs per candidate, wall | CPU of all processes | slowest / fastest window, wall | CPU |"]
    lines += ["|---|---|---|---|---|---|"]
    for one in found:
        for stage in STAGES:
            wall, cpu = one["stages"][stage]["wall_us"], one["stages"][stage]["cpu_us"]
            if not wall:
                lines.append(f"| {one['engine']} | {stage} | too short to be measured | | | |")
                continue
            spread = [max(each) / min(each) for each in (wall, cpu)]
            lines.append(
                f"| {one['engine']} | {stage} | {sum(wall) / len(wall):.0f} | {sum(cpu) / len(cpu):.0f} | "
                f"{spread[0]:.2f} | {spread[1]:.2f}{' NOT flat' * (spread[1] > FLAT)} |"
            )
    lines.append("")
    for one in found:
        peaks = ", ".join(f"{role} {peak} MiB" for role, peak in sorted(one["peak_mib"].items()))
        high = max(one["peak_mib"].values())
        held = "below" if high < MAX_MIB else "ABOVE"
        lines.append(f"{one['engine']}: most memory of a process: {peaks} ({held} {MAX_MIB} MiB)")
        kills = [
            f"a worker at row {row:,.0f} of {stage}, which cost {one['stages'][stage].get('kill_cost_s', ['?'])[0]} s"
            for stage, row in one["kills"].items()
        ]
        lines.append(f"{one['engine']}: killed: {'; '.join(kills) or 'nothing'}; exit statuses {one['exits']}")
        rows, total = one["rows"], one["prompts"] * PER_PROMPT
        whole = all(count == total for name, count in rows.items() if name != "pairs")
        lines.append(f"{one['engine']}: {'every row once' if whole else 'ROWS LOST OR DOUBLED'}: {rows}")
    if len(found) > 1:
        same = all(one["digests"] == found[0]["digests"] for one in found)
        names = " and ".join(one["engine"] for one in found)
        lines.append(f"{names}: tables {'equal byte for byte' if same else 'DIFFER'}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 when everything holds, 1 when something does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--engines", nargs="+", default=["local", "ray"], choices=["local", "ray"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("build/scale"))
    options = parser.parse_args(arguments)
    path = options.out / "scale.json"
    kept = read_json(path) if path.exists() else []
    corpus = options.out / "corpus" / "manifest.jsonl"
    if not corpus.exists():
        write_corpus(corpus.parent, options.prompts, recipe.load(RECIPE).backbone.token_map())
    for engine in options.engines:
        one = measure(engine, options.workers, options.out / engine, options.prompts, corpus)
        kept = [*(other for other in kept if other["engine"] != engine), one]
        path.write_text(json.dumps(kept, indent=2) + "\n")
    lines = report(kept)
    print("\n".join(lines))
    return int(any(word in line for line in lines for word in ("NOT flat", "ABOVE", "LOST", "DIFFER")))


if __name__ == "__main__":
    sys.exit(main())

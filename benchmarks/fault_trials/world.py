"""A small world for the trials: the mini recipe cut down, a corpus of 36 sentences, and one whole run of it to compare with."""

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.fault_trials.lives import ROOT, Ended, Life
from lpo_tts import files
from recipes.mini import corpus

SAMPLING = {"temperature": 1.0, "max_tokens": 100, "block_size": 8}
LIMIT = 1800.0  # seconds for a whole run

# What no two runs share, because it is a time, a place, the engine, or whether a run was interrupted.
TIMES = frozenset(
    {"seconds", "pairs_per_second", "tokens_per_second", "real_time_factors", "timing", "resumed_from", "pass", "out", "engine"}
)
TIMED_FILES = ("metrics.jsonl", "report.json", "report.html", "trainer_state.json")  # they hold TIMES: compared without
LEFT_OUT = {  # by the end of their names
    "report.html": "a page made of report.json alone, with seconds in it",
    "training_args.bin": "a pickle of the settings with the path of the folder; checkpoint.json names the settings too",
    ".lock": "empty",
}


class Problem(Exception):
    """The trial itself cannot go on: the world cannot be made."""


class World:
    """Corpus, recipe and a finished run under one folder; a run folder always has the same depth, so that paths agree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.corpus = self.folder / "corpus"
        self.recipe = self.folder / "recipe.yaml"
        self.whole = self.folder / "whole"
        self.seconds = 0.0

    def make(self) -> None:
        """Makes corpus and recipe; raises Problem when that fails."""
        sizes = ["--train", "24", "--dev", "4", "--test", "8"]
        self._run("corpus", lambda: corpus.main(["--out", str(self.corpus), *sizes]))
        self.recipe.write_text(yaml.safe_dump(recipe_tree(self), sort_keys=False))

    def finish(self) -> None:
        """Runs the recipe, uninterrupted, unless that was done before; raises Problem when that fails."""
        if self.seconds:
            return
        ended = self._run("run", lambda: main(self.arguments(self.whole)))  # moments where --out has it already
        taken = self.folder / "seconds.txt"
        if not taken.exists():
            taken.write_text(str(ended.seconds))
        self.seconds = float(taken.read_text())
        print(f"the run takes {self.seconds:.0f} s uninterrupted", flush=True)

    def _run(self, name: str, work: Callable[[], int | None]) -> Ended:
        ended = Life(work, self.folder / "output" / name).end(LIMIT)
        if ended.code:
            raise Problem(f"the {name} could not be made: {ended.err[-2000:]}")
        return ended

    def arguments(self, out: Path, *more: str, verb: str = "run") -> list[str]:
        """Of a command on this world's recipe."""
        return [verb, str(self.recipe), f"out={out}", *more]

    def copy(self, to: Path) -> Path:
        """The whole run at another place, its files shared: whoever changes one must put a new file in its place."""
        self.finish()
        shutil.copytree(self.whole, to, copy_function=_link, ignore=shutil.ignore_patterns(".lock"))  # one lock for each
        return to


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def main(arguments: Sequence[str]) -> int:
    """`lpo-tts` in this process."""
    from lpo_tts import cli

    return cli.main(arguments)


def recipe_tree(world: World) -> dict[str, Any]:
    """recipes/mini/mini.yaml with fewer candidates and judges, and paths that hold everywhere."""
    text = (ROOT / "recipes" / "mini" / "mini.yaml").read_text(encoding="utf-8")
    tree = yaml.safe_load(text.replace("recipes/mini/", f"{ROOT}/recipes/mini/"))
    tree["out"] = str(world.whole)
    tree["prompts"]["manifest"] = str(world.corpus / "manifest.jsonl")
    tree["sample"] = {"num_candidates": 4, "sampling": SAMPLING}
    tree["pair"]["dev_share"] = 0.2
    tree["train"] |= {"batch_size": 4, "epochs": 2, "save_steps": 3, "eval_steps": 3, "threads": 1}
    tree["synthesize"] |= {"num_seeds": 1, "floor_prompts": 4, "sampling": {**SAMPLING, "block_size": 4}}
    judges = tree["evaluate"]["judges"]
    for name in ("pocketsphinx", "dnsmos"):  # their start takes longer than all else that is judged here
        del judges[name]
    tree["evaluate"]["num_resamples"] = 1000
    return tree


def contents(folder: Path) -> dict[str, str]:
    """Every file of a run by name: the hash of what must be the same in each run of the recipe."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.endswith(tuple(LEFT_OUT)):
            found[name] = _content(path, name)
    return found


def _content(path: Path, name: str) -> str:
    if name.endswith((".json", "metrics.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines() if name.endswith(".jsonl") else [path.read_text(encoding="utf-8")]
        try:
            return json.dumps([_timeless(json.loads(line)) for line in lines], sort_keys=True)
        except ValueError:  # torn: then the bytes themselves are compared
            pass
    return files.file_hash(path)


def _timeless(value: Any) -> Any:
    """A value without times; lists of files leave out the time of change, and all files that hold times themselves."""
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _timeless(item) for key, item in value.items() if key not in TIMES}
    if isinstance(plain.get("files"), dict):
        kept = {name: one for name, one in plain["files"].items() if not name.endswith((*TIMED_FILES, *LEFT_OUT))}
        plain["files"] = {name: [one[0], one[-1]] for name, one in kept.items()}  # size, time of change or nothing, hash
    return plain


def compare(expected: Path, found: Path) -> dict[str, list[str]]:
    """Names of files that differ, are missing, or are there without being expected."""
    old, new = contents(expected), contents(found)
    return {
        "differ": [name for name in old if name in new and old[name] != new[name]],
        "missing": [name for name in old if name not in new],
        "stray": [name for name in new if name not in old],
    }


def first_difference(expected: Path, found: Path, name: str) -> str:
    """The characters about the first place in which two files of runs differ, times left out."""
    old, new = (_content(folder / name, name) for folder in (expected, found))
    place = next((k for k, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(place - 80, 0)
    return f"{old[start : place + 60]!r} became {new[start : place + 60]!r}"


def rows(folder: Path) -> Counter[tuple[str, str]]:
    """How often each row stands in the tables of a run: (table, id) -> count."""
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted(folder.rglob("*.jsonl")):
        table = path.relative_to(folder).as_posix()
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            key = row.get("id") or row.get("candidate_id") or (f"step {row['step']} {sorted(row)}" if "step" in row else None)
            if key is not None:
                found[table, str(key)] += 1
    return found


@contextlib.contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """An empty folder, removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""The benchmark of tables at a small size, and that memory does not follow the number of candidates."""

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from benchmarks import tables
from lpo_tts import artefacts
from lpo_tts.records import PreferencePair

ROOT = Path(__file__).parents[2]

SIZE = 1000


def make(folder, size):
    for work in tables.WORK.values():
        work(folder, size)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Tables of 1,000 candidates, made, counted, scored, paired and read by the benchmark."""
    return make(tmp_path_factory.mktemp("tables"), SIZE)


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """The same of 3,000."""
    return make(tmp_path_factory.mktemp("larger"), 3 * SIZE)


def test_every_kind_of_work_runs(made):
    counts = artefacts.read_json(made / "candidates.meta.json")["counts"]
    assert (counts["rows"], counts["tokens"], counts["unfinished"]) == (SIZE, SIZE * tables.NUM_TOKENS, SIZE // 20)
    pairs = artefacts.read_rows(made / "pairs.jsonl", PreferencePair)
    assert len(pairs) > SIZE / tables.PER_PROMPT * 0.9
    assert all(pair.margins["wer"] >= 0.06 for pair in pairs)


@pytest.mark.parametrize("work", ["count", "pair", "read"])
@pytest.mark.slow
def test_memory_does_not_follow_the_number_of_candidates(made, larger, work):
    def peak(folder, size):
        if work == "pair":
            (folder / "pairs.jsonl.meta.json").unlink()
            (folder / "pairs.jsonl").unlink()
        gc.collect()
        tracemalloc.start()
        tables.WORK[work](folder, size)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    growth = (peak(larger, 3 * SIZE) - peak(made, SIZE)) / (2 * SIZE)
    assert growth < 100, f"{growth:.0f} bytes per candidate; as an object, its row alone takes about a thousand"


def test_the_verdict_names_what_grows():
    def found(work, rows, each, peak):
        seconds = each * rows / 1e6
        return {"work": work, "rows": rows, "seconds": seconds, "cpu_seconds": seconds, "peak_mib": peak, "libraries_mib": 400.0}

    results = [found(work, 1000, 100, 500.0) for work in tables.WORK]
    results += [found(work, 10_000, 150 if work == "pair" else 110, 1500.0 if work == "read" else 510.0) for work in tables.WORK]
    lines = dict(line.split(": ", 1) for line in tables.verdict(results))
    assert lines["write"].startswith("flat (slowest / fastest CPU time per row 1.10); 510 MiB, within 1024")
    assert lines["pair"].startswith("NOT flat (slowest / fastest CPU time per row 1.50)")
    assert lines["read"].endswith("1500 MiB, ABOVE 1024")
    assert tables.line(results[0]) == "| write | 1,000 | 0.10 | 100 | 100 | 500 | 100 |"


@pytest.mark.slow
def test_the_program_measures_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "place").mkdir()
    command = [sys.executable, "-m", "benchmarks.tables", "--sizes", "500", "--place", str(tmp_path / "place")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "t.json")], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(tables.HEAD)
    found = json.loads((tmp_path / "t.json").read_text())
    assert [one["work"] for one in found] == list(tables.WORK)
    assert all(0 < one["libraries_mib"] <= one["peak_mib"] < tables.MAX_MEMORY for one in found)
    assert not list((tmp_path / "place").iterdir())

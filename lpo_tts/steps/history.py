"""What a run folder tells of how its result was made: seconds and rows of the steps, pairs, training curves."""

from pathlib import Path
from typing import Any

from lpo_tts import artefacts
from lpo_tts.comparison.results import PairSummary
from lpo_tts.records import PreferencePair
from lpo_tts.steps import STEPS


def steps_done(out: Path) -> list[dict[str, Any]]:
    """Per artefact of a run folder: step, seconds, rows, from the side-cars, in the order of the pipeline.

    Artefacts that were made in one pass name it, for each of them has the seconds of all.
    """
    found = []
    for path in out.glob("**/*.meta.json"):
        name = path.relative_to(out).as_posix().removesuffix(".meta.json")
        meta = artefacts.read_object(path)
        if name.endswith("report.json") or meta.get("verb") not in (*STEPS, "targets"):
            continue
        row = {"step": f"{meta['verb']}: {name}", "seconds": meta["seconds"], "rows": meta["counts"].get("rows")}
        if meta.get("pass") is not None:
            row["pass"] = meta["pass"]
        found.append((STEPS.index(meta["verb"]) if meta["verb"] in STEPS else 1, row))
    return [row for _, row in sorted(found, key=lambda one: (one[0], one[1]["step"]))]


def training_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics.jsonl; none where there is no such file."""
    if not path.exists():
        return []
    return [
        artefacts.loads(line, f"{path}:{number}") for number, line in enumerate(artefacts.read_lines(path), 1) if line.strip()
    ]


def pair_summary(folder: Path) -> PairSummary:
    """Counts, drop reasons and margins of a system's pairs."""
    path = folder / "pairs.jsonl"
    if not path.exists():
        return PairSummary()
    pairs = artefacts.read_rows(path, PreferencePair)
    margins: dict[str, list[float]] = {}
    for pair in pairs:
        for name, value in pair.margins.items():
            margins.setdefault(name, []).append(round(value, 4))
    counts = artefacts.read_json(path.with_name("pairs.jsonl.meta.json")).get("counts", {})
    dropped = counts.pop("dropped", {})
    found = {name: tuple(values) for name, values in margins.items()}
    return PairSummary(counts=counts, dropped=dropped, margins=found)

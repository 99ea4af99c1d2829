"""What `export`, `import` and `push` are given: data sets that are broken, places that are none, licences that forbid."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.fault_trials.bad_parquet import SETS, TABLES, made
from benchmarks.fault_trials.doors import COUNTED, FAULT, TAKEN, Case, Place
from benchmarks.fault_trials.lives import Ended, Life
from benchmarks.fault_trials.world import LIMIT, Problem, World, main
from lpo_tts.artefacts import content_hash
from lpo_tts.files import read_json

NOTE = "lpo-tts.json"
WHAT = ("manifest", "prompts", "candidates", "scores", "pairs")


def exported(world: World, format: str = "datasets") -> Path:
    """The world's finished run as a data set, made when it is first asked for."""
    folder = world.folder / "exported" / format
    if not folder.exists():
        world.finish()
        what = [part for name in WHAT for part in ("--what", name)] + ["--audio"] if format == "datasets" else []
        arguments = world.arguments(world.whole, "--to", str(folder), "--format", format, *what, verb="export")
        ended = Life(lambda: main(arguments), world.folder / "output" / "export").end(LIMIT)
        if ended.code:
            raise Problem(f"the data set could not be made: {ended.err[-2000:]}")
    return folder


def cases() -> Iterator[Case]:
    """All of them, by door."""
    for table in TABLES:
        for number, name in enumerate(SETS[table]):
            yield Case("import", f"{table} {name}", partial(_table, table=table, number=number), partial(_brought, table=table))
    for number, name in enumerate(SETS["trl"]):
        yield Case("import", f"preferences {name}", partial(_preferences, number=number), _dropped)
    for name, change in _NOTES.items():
        yield Case("import", f"note: {name}", partial(_noted, change=change), _whole)
    for name, more in _IMPORTS.items():
        yield Case("import", name, partial(_given, more=more))
    yield Case("import", "into a run of its own (good)", partial(_given, more=[], own=True), _whole)
    for name, more in _EXPORTS.items():
        yield Case("export", name, partial(_export, more=more))
    for name, (file, how) in _RUNS.items():
        yield Case("export", name, partial(_export, more=["--to", "{place}/new"], file=file, how=how))
    for name, more in _PUSHES.items():
        yield Case("push", name, partial(_push, more=more), _card)
    for name, file in (("without a report", "report/report.json"), ("without a model", "run/final/model.safetensors")):
        yield Case("push", name, partial(_push, more=["--to", "{place}/new"], lost=file))


def _arguments(place: Place, source: Path, *more: str, manifest: Path | None = None) -> list[str]:
    told = [f"prompts.manifest={manifest}"] if manifest is not None else []
    return [str(place.world.recipe), f"out={place.out}", *told, "--from", str(source), *more]


def _copy(source: Path, to: Path) -> Path:
    shutil.copytree(source, to, copy_function=lambda one, other: Path(other).hardlink_to(one))
    return to


def _table(place: Place, table: str, number: int) -> list[str]:
    """The exported data set with another file for one of its tables."""
    source = exported(place.world)
    good = next(iter(sorted((source / table).glob("*.parquet"))))
    bad = made(place.world, table, good) / f"{number}.parquet"
    copy = _copy(source, place.folder / "set")
    name = copy / table / good.name
    name.unlink()
    shutil.copy(bad, name)
    manifest = place.folder / "new" / "manifest.jsonl" if table == "manifest" else place.world.corpus / "manifest.jsonl"
    return (
        _arguments(place, copy, "--what", "prompts", "--what", _what(table), manifest=manifest)
        if table in ("manifest", "prompts", "candidates")
        else _arguments(place, copy, manifest=manifest)
    )


def _what(table: str) -> str:
    return table.partition("-")[0]


def _brought(place: Place, ended: Ended, table: str) -> str | None:
    """What was brought in has every row once, and where it is not what was exported, that was said."""
    if table == "manifest":
        path = place.folder / "new" / "manifest.jsonl"
        astray = [str(one) for one in place.folder.rglob("*") if "outside" in one.name and "recordings" not in one.parts]
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if astray:
            return f"{FAULT}: wrote {astray[0]}"
        ids = [row["id"] for row in rows]
    else:
        name = f"{table}.jsonl" if table != "candidates" else "candidates"
        path = place.out / name
        parts = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        rows = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
        ids = [row.get("id") or row.get("candidate_id") for row in rows]
    if len(set(ids)) < len(ids):
        return f"{FAULT}: an id stands twice"
    said = "was changed since" in ended.err + ended.out or "rows were changed" in ended.err + ended.out
    if not said and table != "manifest":  # what was broken is not read by an import
        said = _same(place, name)
    return TAKEN if said or table == "manifest" else None


def _same(place: Place, name: str) -> bool:
    """Whether a table was brought in as it was exported."""
    ours, other = (folder / name for folder in (place.out, place.world.whole))
    return content_hash(ours) == content_hash(other)


def _preferences(place: Place, number: int) -> list[str]:
    source = exported(place.world, "trl")
    good = next(iter(sorted((source / "data").glob("train*.parquet"))))
    copy = _copy(source, place.folder / "set")
    (copy / "data" / good.name).unlink()
    shutil.copy(made(place.world, "trl", good) / f"{number}.parquet", copy / "data" / good.name)
    return _arguments(place, copy, "--max-failed", "0.5")


def _dropped(place: Place, ended: Ended) -> str | None:
    """The bad row is not among the pairs, and it is told why."""
    failed = place.out / "prompts.failed.jsonl"
    ids = [json.loads(line)["id"] for line in (place.out / "pairs.jsonl").read_text().splitlines()]
    if len(set(ids)) < len(ids):
        return f"{FAULT}: a pair stands twice"
    if not failed.exists() and "pairs: 0 train" in ended.out:
        return TAKEN  # a split without rows is a data set
    return COUNTED if failed.exists() and all(json.loads(line)["reason"] for line in failed.read_text().splitlines()) else None


def _note(how: Callable[[dict[str, Any]], Any]) -> Callable[[str], str]:
    return lambda text: json.dumps(how(json.loads(text)))


def _entries(**changes: Any) -> Callable[[str], str]:
    return _note(lambda tree: tree | {"tables": {name: one | changes for name, one in tree["tables"].items()}})


_NOTES: dict[str, Callable[[str], str]] = {
    "torn": lambda text: text[: len(text) // 2],
    "of no bytes": lambda text: "",
    "a list": lambda text: "[]",
    "of another schema": _note(lambda tree: tree | {"schema": 99}),
    "of no format": _note(lambda tree: {name: one for name, one in tree.items() if name != "format"}),
    "tables that are a list": _note(lambda tree: tree | {"tables": []}),
    "tables of text": _note(lambda tree: tree | {"tables": dict.fromkeys(tree["tables"], "x")}),
    "settings of text": _entries(settings="x"),
    "settings that are a list": _entries(settings=[1]),
    "other settings": _entries(settings={"seed": 5}),
    "inputs of text": _entries(inputs="x"),
    "inputs that are a list": _entries(inputs=[1]),
    "inputs that are numbers": _entries(inputs={"prompts": 7}),
    "counts of text": _entries(counts="x"),
    "counts that are a list": _entries(counts=[1]),
    "failed of text": _entries(failed="x"),
    "failed parts without a number": _entries(failed={"x": {"a": "b"}}),
    "failed parts that are a list": _entries(failed=[1]),
    "NaN": lambda text: text.replace('"schema": 1', '"schema": NaN'),
    "brackets 20,000 deep": lambda text: "[" * 20000,
}


def _noted(place: Place, change: Callable[[str], str]) -> list[str]:
    copy = _copy(exported(place.world), place.folder / "set")
    text = (copy / NOTE).read_text()
    (copy / NOTE).unlink()
    (copy / NOTE).write_text(change(text))
    return _arguments(place, copy, manifest=place.world.corpus / "manifest.jsonl")


def _whole(place: Place, ended: Ended) -> str | None:
    """Everything was brought in as it was, and the side-cars can be read."""
    names = ("prompts.jsonl", "pairs.jsonl", "scores-wer.jsonl")
    same = all((place.out / name).read_bytes() == (place.world.whole / name).read_bytes() for name in names)
    meta = [read_json(place.out / f"{name}.meta.json") for name in (*names, "candidates")]
    return TAKEN if same and all(one["counts"]["rows"] for one in meta) else None


_IMPORTS: dict[str, list[str]] = {
    "from a folder that is nowhere": ["--from", "/nowhere"],
    "from a file": ["--from", "/etc/hostname"],
    "from an empty folder": ["--from", "{place}/empty"],
    "what there is not": ["--what", "weather"],
    "a share above 1": ["--max-failed", "2"],
    "a share of NaN": ["--max-failed", "nan"],
    "a system that is none": ["--system", "nobody"],
    "into rounds": ["rounds=2"],
    "into a file": ["out=/dev/null/x"],
}


def _given(place: Place, more: list[str], own: bool = False) -> list[str]:
    (place.folder / "empty").mkdir()
    given = _arguments(place, exported(place.world), manifest=place.world.corpus / "manifest.jsonl")
    return [*given, *(one.format(place=place.folder) for one in more)]


_EXPORTS: dict[str, list[str]] = {
    "into a folder that holds something": ["--to", "{place}"],
    "into a file": ["--to", "{place}/file"],
    "below a file": ["--to", "/dev/null/x"],
    "into a name of 300 characters": ["--to", "{place}/" + "a" * 300],
    "a name with a NUL": ["--to", "{place}/a\0b"],
    "what there is not": ["--to", "{place}/new", "--what", "weather"],
    "labels that were not made": ["--to", "{place}/new", "--what", "labels"],
    "a system that is none": ["--to", "{place}/new", "--system", "nobody"],
    "scores for TRL": ["--to", "{place}/new", "--format", "trl", "--what", "scores"],
    "a format that is none": ["--to", "{place}/new", "--format", "csv"],
    "of a run that is nowhere": ["--to", "{place}/new", "out={place}/nowhere"],
    "with a setting that is none": ["--to", "{place}/new", "sample=nothing"],
    "recordings of a manifest that is nowhere": [
        "--to", "{place}/new", "--audio", "--what", "manifest", "prompts.manifest=/nowhere/m.jsonl",
    ],
}  # fmt: skip
_RUNS: dict[str, tuple[str, Callable[[bytes], bytes | str]]] = {
    "pairs that are torn": ("pairs.jsonl", lambda data: data[:-30]),
    "pairs that are empty": ("pairs.jsonl", lambda data: b""),
    "prompts that are not UTF-8": ("prompts.jsonl", lambda data: b"\xff" + data),
    "candidates that are torn": ("candidates/part-00000.safetensors", lambda data: data[: len(data) // 2]),
    "scores that are torn": ("scores-wer.jsonl", lambda data: data[:-30]),
    "a side-car that is torn": ("pairs.jsonl.meta.json", lambda data: data[:50]),
}


def _export(place: Place, more: list[str], file: str = "", how: Callable[[bytes], bytes | str] = bytes) -> list[str]:
    place.finished()
    place.file("file")
    if file:
        name = next(iter(sorted((place.out / file).parent.glob("*.safetensors"))), None) if "candidates/" in file else None
        place.change(file if name is None else name.relative_to(place.out).as_posix(), how)
    return [str(place.world.recipe), f"out={place.out}", *(one.format(place=place.folder) for one in more)]


_PUSHES: dict[str, list[str]] = {
    "into a folder that holds something": ["--to", "{place}"],
    "into a file": ["--to", "{place}/file"],
    "below a file": ["--to", "/dev/null/x"],
    "a name of three parts": ["--to", "a/b/c"],
    "a name with a space": ["--to", "me/my model"],
    "a name that leads out": ["--to", "me/.."],
    "a name of dashes": ["--to", "me/a--b"],
    "a name of 200 characters": ["--to", "me/" + "a" * 200],
    "an empty name": ["--to", ""],
    "to a hub that is out of reach": ["--to", "me/model", "--licence", "mit"],
    "a licence of its own (good)": ["--to", "{place}/new", "--licence", "do what you want!"],
    "a licence that is empty": ["--to", "{place}/new", "--licence", ""],
    "a licence that is unknown": ["--to", "{place}/new", "--licence", "unknown"],
    "a licence of two lines (good)": ["--to", "{place}/new", "--licence", "mit\nlanguage: xx"],
    "a system that is none": ["--to", "{place}/new", "--licence", "mit", "--system", "nobody"],
    "adapters that are none (good)": ["--to", "{place}/new", "--licence", "mit", "--merge"],
    "a run that is nowhere": ["--to", "{place}/new", "--licence", "mit", "out={place}/nowhere"],
}


def _card(place: Place, ended: Ended) -> str | None:
    """A model lies there, and the head of its card is what the Hub reads."""
    head = yaml.safe_load((place.folder / "new" / "README.md").read_text().split("---\n")[1])
    return TAKEN if head["license"] in ("mit", "other") and head["language"] == ["en"] else None


def _push(place: Place, more: list[str], lost: str = "") -> list[str]:
    place.finished()
    place.file("file")
    if lost:
        (place.out / lost).unlink()
        more = [*more, "--licence", "mit"]
    return [str(place.world.recipe), f"out={place.out}", *(one.format(place=place.folder) for one in more)]

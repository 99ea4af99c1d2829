"""Every corpus of `corpora` with one thing wrong: its folder, its table, its last row, its last recording."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.fault_trials.corpora import CORPORA, Corpus, cut, gigaspeech, segment, sound
from benchmarks.fault_trials.doors import COUNTED, FAULT, TAKEN, Case, Place, Verify
from benchmarks.fault_trials.lives import Ended
from lpo_tts.files import read_json

OUTSIDE = "outside"  # a good recording beside RAW_DIR, which no table may reach


def given(raw: Path, place: Place, corpus: Corpus) -> list[str]:
    """Arguments of a corpus program."""
    more = [one.format(raw=raw) for one in corpus.more]
    return [str(raw), "--out", str(place.folder / "out" / "m.jsonl"), "--max-failed", "0.6", *more]


def cases() -> Iterator[Case]:
    """All of them, by corpus."""
    for name, (door, make) in CORPORA.items():
        corpus = make()
        yield Case(door, f"{name}: in order (good)", partial(_laid, corpus=corpus), accounted(corpus.rows, whole=True))
        yield Case(door, f"{name}: a folder that is nowhere", partial(_laid, corpus=corpus, raw="nowhere"))
        for what, how in _FOLDERS.items():
            yield Case(door, f"{name}: {what}", partial(_laid, corpus=corpus, change=how), accounted(corpus.rows, whole=True))
        broken = accounted(corpus.rows, lost=corpus.lost)
        for what, how in _TABLES.items() if corpus.table else ():
            yield Case(door, f"{name}: table {what}", partial(_laid, corpus=corpus, change=how), broken)
        for what, how in _ROWS.items() if corpus.name else ():
            verify = accounted(corpus.rows, whole=True) if corpus.free and what in FREE else broken
            yield Case(door, f"{name}: {what}", partial(_laid, corpus=corpus, change=how), verify)
        for what, how in _RECORDINGS.items() if corpus.audio else ():
            if what != LOST or corpus.listed:
                yield Case(door, f"{name}: {what}", partial(_laid, corpus=corpus, change=how), broken)
    yield from _time_cases()


def _laid(place: Place, corpus: Corpus, change: Callable[[Path, Corpus], None] = lambda raw, corpus: None, raw: str = "") -> Any:
    folder = corpus.lay(place.folder / "raw")
    (place.folder / f"{OUTSIDE}.wav").write_bytes(sound(".wav"))
    change(folder, corpus)
    return given(place.folder / raw if raw else folder, place, corpus)


def accounted(rows: int, *, whole: bool = False, lost: int = 1) -> Verify:
    """A verdict on a manifest: every row stands once, in it or among the failed ones, and none lies outside the corpus.

    Args:
        rows: what a corpus in order gives.
        whole: whether that is expected here, too.
        lost: rows that may be missing from the manifest, each told.
    """

    def verify(place: Place, ended: Ended) -> str | None:
        out = place.folder / "out" / "m.jsonl"
        found, failed = (table(path) for path in (out, out.with_name("m.failed.jsonl")))
        counts = read_json(out.with_name("m.jsonl.meta.json"))["counts"]
        told = {row["id"]: row["reason"] for row in failed}
        if (counts["rows"], counts["failed"] + counts["left_out"]) != (len(found), len(failed)) or not all(told.values()):
            return f"{FAULT}: the side-car counts {counts}, found {len(found)} rows and {len(failed)} failed ones"
        if len({row["id"] for row in found}) < len(found):
            return f"{FAULT}: an id stands twice"
        astray = [row["audio"] for row in found if OUTSIDE in row["audio"]]
        if astray and not whole:
            return f"{FAULT}: the manifest leads out of the corpus to {astray[0]}"
        if whole:
            return TAKEN if len(found) == rows else f"{FAULT}: expected {rows} rows, found {len(found)}"
        if not failed or not rows - lost <= len(found) < rows:
            return f"{FAULT}: expected {rows - lost} rows and the others counted, found {len(found)} and {sorted(told)}"
        return COUNTED

    return verify


def table(path: Path) -> list[dict[str, Any]]:
    """The rows of a table; none where there is none."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _emptied(raw: Path, corpus: Corpus) -> None:
    for path in sorted(raw.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def _a_file(raw: Path, corpus: Corpus) -> None:
    _emptied(raw, corpus)
    raw.rmdir()
    raw.write_text("not a folder")


def _of_another(raw: Path, corpus: Corpus) -> None:
    _emptied(raw, corpus)
    (raw / "notes" / "2024").mkdir(parents=True)
    (raw / "notes" / "2024" / "budget.ods").write_bytes(b"PK\x03\x04")


def _circle(raw: Path, corpus: Corpus) -> None:
    """Links that lead in a circle, in every folder."""
    for folder in [path for path in [raw, *raw.rglob("*")] if path.is_dir()]:
        (folder / "circle").symlink_to(raw, target_is_directory=True)
        (folder / "itself").symlink_to("itself")


_FOLDERS: dict[str, Callable[[Path, Corpus], None]] = {
    "an empty folder": _emptied,
    "a file for a folder": _a_file,
    "a folder of something else": _of_another,
    "links in a circle (good)": _circle,
}


def _table(how: Callable[[bytes], bytes]) -> Callable[[Path, Corpus], None]:
    def change(raw: Path, corpus: Corpus) -> None:
        path = raw / corpus.table
        path.write_bytes(how(path.read_bytes()))

    return change


def _replaced(put: Callable[[Path], None]) -> Callable[[Path, Corpus], None]:
    def change(raw: Path, corpus: Corpus) -> None:
        (raw / corpus.table).unlink()
        put(raw / corpus.table)

    return change


def _cut(raw: Path, corpus: Corpus) -> None:
    """Cut within the name of the last row, or before its text. A text that is cut within words looks like a shorter one."""
    path = raw / corpus.table
    data, key = path.read_bytes(), (corpus.ids[0] or corpus.text).encode()
    path.write_bytes(data[: data.rindex(key) + (len(key) // 2 if corpus.ids[0] else 0)])


def _row(old: Callable[[Corpus], str], new: Callable[[Path, Corpus], str]) -> Callable[[Path, Corpus], None]:
    """The table with other words for the last row, at the last place where they stand."""

    def change(raw: Path, corpus: Corpus) -> None:
        before, found, after = (raw / corpus.table).read_text(encoding="utf-8").rpartition(old(corpus))
        assert found, old(corpus)
        (raw / corpus.table).write_text(before + new(raw, corpus) + after, encoding="utf-8")

    return change


_TABLES: dict[str, Callable[[Path, Corpus], None]] = {
    "empty": _table(lambda data: b""),
    "missing": _replaced(lambda path: None),
    "of bytes": _table(lambda data: bytes(range(256)) * 40),
    "with a byte that is not UTF-8": _table(lambda data: data[:-2] + b"\xff" + data[-2:]),
    "with a NUL": _row(lambda corpus: corpus.text, lambda raw, corpus: f"{corpus.text[0]}\0{corpus.text[1:]}"),
    "torn": _cut,
    "a folder": _replaced(lambda path: path.mkdir()),
    "a pipe": _replaced(lambda path: os.mkfifo(path)),
    "a link to itself": _replaced(lambda path: path.symlink_to(path.name)),
    "in UTF-16": _table(lambda data: data.decode().encode("utf-16")),
}


def _named(path: Callable[[Path], str]) -> Callable[[Path, Corpus], None]:
    def new(raw: Path, corpus: Corpus) -> str:
        return path(raw) + Path(corpus.name).suffix

    return _row(lambda corpus: corpus.name, new)


def _outside(raw: Path) -> str:
    return str(raw.parent / OUTSIDE)


FREE = ("a name that leads out", "an absolute name")
_ROWS: dict[str, Callable[[Path, Corpus], None]] = {
    "a name that leads out": _named(lambda raw: "../" * 8 + _outside(raw).lstrip("/")),
    "an absolute name": _named(_outside),
    "a name of dots": _named(lambda raw: ".."),
    "a name of 300 characters": _named(lambda raw: "a" * 300),
    "an empty name": _row(lambda corpus: corpus.name, lambda raw, corpus: ""),
    "an id that stands twice": _row(lambda corpus: corpus.ids[0], lambda raw, corpus: corpus.ids[1]),
    "an empty text": _row(lambda corpus: corpus.text, lambda raw, corpus: ""),
    "a text of no words": _row(lambda corpus: corpus.text, lambda raw, corpus: "... ..."),
}


def _recording(put: Callable[[Path], None]) -> Callable[[Path, Corpus], None]:
    def change(raw: Path, corpus: Corpus) -> None:
        data = (raw / corpus.audio).read_bytes()
        (raw / corpus.audio).unlink()
        put(raw / corpus.audio)
        if (raw / corpus.audio).is_file():
            (raw / corpus.audio).write_bytes(data[: len(data) // 2])

    return change


LOST = "recording missing"
_RECORDINGS: dict[str, Callable[[Path, Corpus], None]] = {
    LOST: _recording(lambda path: None),
    "recording torn": _recording(lambda path: path.touch()),
    "recording a folder": _recording(lambda path: path.mkdir()),
    "recording a pipe": _recording(lambda path: os.mkfifo(path)),
}

TIMES: dict[str, tuple[Any, Any]] = {  # begin and end of a stretch, or start and duration
    "NaN": (float("nan"), 0.5),
    "infinity": (0.0, float("inf")),
    "a start below 0": (-1.0, 0.5),
    "an end before the start": (0.7, -0.2),
    "no length": (0.5, 0.0),
    "text for a number": ("0", "1"),
    "truth for a number": (False, True),
    "1e308": (0.0, 1e308),
    "10^400": (0, 10**400),
    "10^4000": (0, 10**4000),
    "a start behind the file's end": (1000.0, 1000.5),
    "an end behind the file's end": (0.0, 500.0),
    "null": (None, None),
    "a list": ([0], [1]),
}


def _time_cases() -> Iterator[Case]:
    """Stretches that no recording has, in the two corpora whose tables tell of stretches."""
    for name, (first, second) in TIMES.items():
        end = first + second if name in _LENGTHS else second
        for what, door, data in (
            ("gigaspeech: times", "data_prep.gigaspeech", json.dumps(_segments(first, end))),
            ("lhotse_cuts: times of a cut", "data_prep.lhotse_cuts", _cuts(cut(2, start=first, duration=second))),
            ("lhotse_cuts: times of a supervision", "data_prep.lhotse_cuts", _cuts(_supervised(first, second))),
        ):
            verify = accounted(3, whole=name in LONGER and what.endswith("cut"))  # what is said in it lies within the file
            yield Case(door, f"{what} {name}", partial(_with_table, name=what.partition(":")[0], data=data), verify)


def _segments(begin: Any, end: Any) -> Mapping[str, Any]:
    return gigaspeech(segment(0), segment(1), segment(2, begin_time=begin, end_time=end))


LONGER = ("an end behind the file's end",)
_LENGTHS = ("a start below 0", "an end before the start", "no length")


def _cuts(last: Mapping[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in (cut(0), cut(1), last))


def _supervised(start: Any, duration: Any) -> dict[str, Any]:
    one = cut(2)
    one["supervisions"][0] |= {"start": start, "duration": duration}
    return one


def _with_table(place: Place, name: str, data: str) -> list[str]:
    def change(raw: Path, corpus: Corpus) -> None:
        (raw / corpus.table).write_text(data)

    return _laid(place, CORPORA[name][1](), change)

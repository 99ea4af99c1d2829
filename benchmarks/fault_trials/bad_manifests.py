"""Manifests with a row that is torn, doubled, or holds what no row may hold; and odd ones that are good all the same."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.fault_trials.bad_audio import put_tone
from benchmarks.fault_trials.doors import COUNTED, TAKEN, Case, Place
from benchmarks.fault_trials.lives import Ended
from lpo_tts.files import read_json

ROW = {"id": "x", "audio": "audio/train-00000.wav", "text": "gate one", "duration": 1.0, "speaker": "s", "split": "train"}


def _row(**changes: object) -> str:
    return json.dumps({**ROW, **changes}) + "\n"


MANIFESTS: dict[str, bytes | str] = {  # lines that stand after those of a good manifest
    "an id that stands twice": _row() + _row(text="gate two"),
    "duration NaN": _row().replace("1.0", "NaN"),
    "duration 1e999": _row().replace("1.0", "1e999"),
    "duration below 0": _row(duration=-1.0),
    "duration as text": _row(duration="long"),
    "a row that is a list": "[1, 2]\n",
    "a row that is a number": "5\n",
    "a row that is null": "null\n",
    "a row that is torn": _row()[:40],
    "a field too many": _row(pitch=3),
    "a field too few": json.dumps({"id": "x"}) + "\n",
    "a text that is a number": _row(text=7),
    "an id that is null": _row(id=None),
    "an empty id": _row(id=""),
    "a split that is none": _row(split="trian"),
    "tags that are a list": _row(tags=["a"]),
    "a lone surrogate": _row(text="gate \ud800"),
    "NUL in a path": _row(audio="a\0b.wav"),
    "brackets 20,000 deep": '{"id": ' + "[" * 20000 + "\n",
    "bytes that are not UTF-8": b'{"id": "\xff"}\n',
    "a key that stands twice": _row().replace('"id": "x"', '"id": "x", "id": "y"'),
    "two rows in one line": _row().strip() + _row(),
}


GOOD = 4  # rows before the bad one, for `check`
CHECKED: dict[str, dict[str, object]] = {  # what only who hears the recordings can tell
    "audio that is not there": {"audio": "nothing.wav"},
    "audio that is text": {"audio": "m.jsonl"},
    "audio that is a folder": {"audio": "."},
    "audio that is a device": {"audio": "/dev/zero"},
    "audio that is a pipe": {"audio": "pipe"},
    "audio that is torn": {"audio": "torn.wav"},
    "audio in a tar that is none": {"audio": "m.jsonl/a.wav"},
    "a stretch behind the end": {"audio": "0.wav#t=5,6"},
    "a stretch without end": {"audio": f"0.wav#t=0,{'9' * 400}"},
    "another duration": {"duration": 7.0},
    "a duration of 10^400": {"duration": 10**400},
    "a duration of 10^4000": {"duration": 10**4000},
    "no words": {"text": "..."},
    "a sentence of another split": {"split": "test", "text": "gate 0"},
    "an id that is taken": {"id": "u0"},
    "a speaker of no letters": {"speaker": " "},
}
OPTIONS: dict[str, list[str]] = {
    "a limit below 0": ["--limit", "-1"],
    "fewer workers than none": ["--workers", "-1"],
    "a million workers": ["--workers", "1000000"],
    "a page in a file": ["--page", "/dev/null/x.html"],
    "settings of a recipe": ["sample.num_candidates=3"],
}
FILES: dict[str, Callable[[Path], object]] = {
    "a table that is nowhere": lambda path: path.unlink(),
    "a table that is a folder": lambda path: (path.unlink(), path.mkdir()),
    "a table that is a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a table that is a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "a table of no bytes": lambda path: path.write_bytes(b""),
    "a table of bytes": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "a table of one line of 3 MB": lambda path: path.write_bytes(b"x" * 3_000_000),
    "a table of zeros": lambda path: path.write_bytes(bytes(100_000)),
    "a table in UTF-16": lambda path: path.write_bytes(path.read_text().encode("utf-16")),
}


def cases() -> Iterator[Case]:
    """Manifests with one thing wrong, given to the whole run or to the step that reads them."""
    for name, lines in MANIFESTS.items():
        yield Case("run", f"manifest: {name}", partial(_manifest, lines=lines))
        count = (lines if isinstance(lines, bytes) else lines.encode()).count(b"\n") or 1
        told = partial(_told, line=GOOD + count)
        yield Case("check", f"rows: {name}", partial(_checked, lines=lines), told, reports=True)
    for name, changes in CHECKED.items():
        told = partial(_told, line=GOOD + 1)
        yield Case("check", f"rows: {name}", partial(_checked, lines=_row(**changes)), told, reports=True)
    yield Case("check", "rows: in order (good)", partial(_checked, lines=""), lambda place, ended: TAKEN)
    for name, more in OPTIONS.items():
        yield Case("check", f"rows: {name}", partial(_checked, lines="", more=more))
    for name, put in FILES.items():
        yield Case("check", f"rows: {name}", partial(_checked, put=put), lambda place, ended: COUNTED, reports=True)
    yield Case("prompts", "manifest: empty", lambda place: _given(place, place.file("m.jsonl"), "prompts.max_failed=1"))
    yield Case("prompts", "manifest: blank lines", lambda place: _given(place, place.file("m.jsonl", "\n\n  \n")))
    yield Case("prompts", "manifest: a sentence without words", partial(_few, text="  "), _prompt_failed)
    yield Case("prompts", "manifest: a speaker of one sentence", partial(_few, speaker="lonely"), _prompt_failed)
    yield Case("run", "manifest: a word that the model does not know", partial(_few, text="zebra"), _sample_failed)
    yield Case("prompts", "manifest: a byte-order mark (good)", partial(_few, head="\ufeff"), _prompts_whole)
    yield Case("prompts", "manifest: U+2028 in a text (good)", partial(_few, text="gate\u2028one"), _prompts_whole)
    yield Case("prompts", "manifest: ids with / and # (good)", partial(_few, id="../a#b/c"), _prompts_whole)


def _given(place: Place, manifest: Path, *more: str) -> list[str]:
    return [str(place.world.recipe), f"out={place.out}", f"prompts.manifest={manifest}", *more]


def _manifest(place: Place, lines: bytes | str) -> list[str]:
    whole = (place.world.corpus / "manifest.jsonl").read_bytes()
    speaker = json.loads(whole.splitlines()[0])["speaker"].encode()  # so that nothing but the fault stands in the way
    shutil.copytree(place.world.corpus / "audio", place.folder / "audio", copy_function=lambda a, b: Path(b).hardlink_to(a))
    bad = (lines if isinstance(lines, bytes) else lines.encode()).replace(b'"speaker": "s"', b'"speaker": "' + speaker + b'"')
    return _given(place, place.file("m.jsonl", whole + bad), "--until", "sample")


def _checked(
    place: Place, lines: bytes | str = "", more: Sequence[str] = (), put: Callable[[Path], object] | None = None
) -> list[str]:
    """Good rows and behind them the bad one, for `lpo-tts check manifest.jsonl`."""
    rows = []
    for number in range(GOOD):
        put_tone(place.folder / f"{number}.wav", 0.8)
        split = "train" if number < GOOD - 1 else "test"
        rows.append(_row(id=f"u{number}", audio=f"{number}.wav", text=f"gate {number}", duration=0.8, split=split, speaker="t"))
    (place.folder / "torn.wav").write_bytes((place.folder / "0.wav").read_bytes()[:9000])
    os.mkfifo(place.folder / "pipe")
    bad = (lines if isinstance(lines, bytes) else lines.encode()).replace(b"audio/train-00000.wav", b"0.wav")
    path = place.file("m.jsonl", "".join(rows).encode() + bad)
    if put is not None:
        put(path)
    return [str(path), *more]


def _told(place: Place, ended: Ended, line: int) -> str | None:
    """The line of the bad row is named, and no good one."""
    named = {int(found) for found in re.findall(r"^m\.jsonl: line (\d+)", ended.out, re.MULTILINE)}
    return COUNTED if line in named and min(named) > GOOD and ended.code == 2 and (place.folder / "m.html").exists() else None


def _few(place: Place, head: str = "", **changes: object) -> list[str]:
    """Rows of one speaker, of which one has other values; everything may fail but what there is must be counted."""
    rows = [{**ROW, "id": f"u{k}", "text": f"gate {word}"} for k, word in enumerate(("one", "two", "three", "four"))]
    rows += [{**ROW, "id": f"t{k}", "text": f"room {word}", "split": "test"} for k, word in enumerate(("one", "two"))]
    rows[0] |= changes
    audio = str(place.world.corpus / "audio" / "train-00000.wav")
    table = place.file("m.jsonl", head + "".join(json.dumps({**row, "audio": audio}, ensure_ascii=False) + "\n" for row in rows))
    limits = ["prompts.max_failed=0.9", "sample.max_failed=0.9", "sample.sampling.max_tokens=8", "engine.workers=0"]
    return _given(place, table, *limits, *(["--until", "sample"] if changes.get("text") == "zebra" else []))


def _prompt_failed(place: Place, ended: Ended) -> str | None:
    failed = place.out / "prompts.failed.jsonl"
    counts = read_json(place.out / "prompts.jsonl.meta.json")["counts"]
    return COUNTED if counts["failed"] == 1 and failed.exists() and '"u0"' in failed.read_text() else None


def _sample_failed(place: Place, ended: Ended) -> str | None:
    meta = read_json(place.out / "candidates.meta.json")
    failed = {key: reason for part in meta["parts"].values() for key, reason in part["failed"].items()}
    return COUNTED if "u0" in failed and "zebra" in failed["u0"] and meta["counts"]["failed"] == len(failed) else None


def _prompts_whole(place: Place, ended: Ended) -> str | None:
    return (
        TAKEN
        if read_json(place.out / "prompts.jsonl.meta.json")["counts"] == {"rows": 6, "failed": 0, "train": 4, "test": 2}
        else None
    )

"""Data sets in Parquet with one thing wrong: of recordings, to data_prep.hf_dataset, and tables of `export`, to `import`."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.fault_trials.bad_corpora import accounted
from benchmarks.fault_trials.corpora import SAID, sound
from benchmarks.fault_trials.doors import Case, Place
from benchmarks.fault_trials.lives import ROOT
from benchmarks.fault_trials.parquet_files import BROKEN, LESS, TURNED, TWICE, Change, cast, last, named, not_utf8, without
from benchmarks.fault_trials.world import Problem, World

OUTSIDE = Path(tempfile.gettempdir(), "outside.wav")  # where a trial puts a good recording that nothing may reach
RECORDINGS: dict[str, Change] = (
    BROKEN
    | {  # of a data set of three rows: id, audio, text, speaker_id
        "without the column audio": without("audio"),
        "without the column text": without("text"),
        "with the text under another name": named("text", "words"),
        **{f"with text of type {kind}": cast("text", kind) for kind in ("int64", "binary", "list", "struct")},
        **{f"with audio of type {kind}": cast("audio", kind) for kind in ("int64", "double", "list", "struct")},
        "with a text that is null": last("text", None),
        "with an empty text": last("text", ""),
        "with a text that is not UTF-8": not_utf8("text"),
        "with a text with a NUL": last("text", "gate\0one"),
        "with audio that is null": last("audio", None),
        "with audio of no bytes": last("audio", {"bytes": b"", "path": None}),
        "with audio that is torn": last("audio", lambda one: one | {"bytes": one["bytes"][:500]}),
        "with audio that is text": last("audio", {"bytes": b"no sound", "path": "x.wav"}),
        "with a path that is not there": last("audio", {"bytes": None, "path": "nothing.wav"}),
        "with a path that leads out": last("audio", {"bytes": None, "path": "../outside.wav"}),
        "with an absolute path": last("audio", {"bytes": None, "path": str(OUTSIDE)}),
        "with a path that leads to a device": last("audio", {"bytes": None, "path": "/dev/zero"}),
        "with an id that stands twice": last("id", "utt1"),
    }
)
ODD: dict[str, Change] = {  # and good
    "in order (good)": last("id", "utt2"),
    "with an id that leads out (good)": last("id", "../../../outside"),
    "with an absolute id (good)": last("id", "/etc/passwd"),
    "with an id of 300 characters (good)": last("id", "a" * 300),
    "with a suffix that leads out (good)": last("audio", lambda one: one | {"path": "a./../../../x"}),
    "with an id that is null (good)": last("id", None),
    "with a speaker that is null (good)": last("speaker_id", None),
    "with speakers of another type (good)": cast("speaker_id", "double"),
}
TABLES: dict[str, dict[str, Change]] = {  # of `export`
    "prompts": {
        "without the column text": without("text"),
        "with ids of numbers": cast("id", "int64"),
        "with a text that is null": last("text", None),
        "with a split that is none": last("split", "trian"),
        "with tags that are torn": last("tags", '{"a": '),
        "with tags that are a list": last("tags", "[1]"),
        "with a voice of text": cast("voice", "string"),
        "with rows of text": cast("row", "string"),
        "with a row twice": TWICE,
    },
    "candidates": {
        "without the column tokens": without("tokens"),
        "with tokens of text": cast("tokens", "list"),
        "with tokens of halves": cast("tokens", "numbers"),
        "with one id for tokens": cast("tokens", "int64"),
        "with tokens that are null": last("tokens", None),
        "with a null among the tokens": last("tokens", lambda ids: [*ids[:-1], None]),
        "with an id outside the vocabulary": last("tokens", lambda ids: [*ids[:-1], 2**30]),
        "with an id below 0": last("tokens", lambda ids: [*ids[:-1], -1]),
        "with fewer tokens than it says": last("tokens", lambda ids: ids[:-2]),
        "with codes of text": cast("codes", "string"),
        "with codes of lists of text": cast("codes", "list"),
        "with a null among the codes": last("codes", lambda levels: [[None, *levels[0][1:]]]),
        "with parts of text": cast("part", "string"),
        "with a part below 0": last("part", -1),
        "with rows of text": cast("row", "string"),
        "with a seed of 2^62 (good)": last("seed", 2**62),
        "with a status that is none": last("status", "fine"),
        "with a temperature of NaN": last("temperature", float("nan")),
        "with a candidate twice": TWICE,
        "of a prompt that is nowhere": last("prompt_id", "nobody"),
        "with a row less (good)": LESS,
        "in another order (good)": TURNED,
    },
    "scores-wer": {
        "without the column value": without("value"),
        "with values of text": cast("value", "string"),
        "with a value of NaN": last("value", float("nan")),
        "with details that are torn": last("detail", "{"),
        "with a score twice": TWICE,
        "of a candidate that is nowhere": last("candidate_id", "nobody#0"),
    },
    "pairs": {
        "without the column chosen_candidate": without("chosen_candidate"),
        "with margins that are torn": last("margins", "{"),
        "with margins that are a list": last("margins", "[1]"),
        "with margins of text": last("margins", '{"wer": "much"}'),
        "with a split that is none": last("split", "trian"),
        "with a pair twice": TWICE,
        "with a candidate that is nowhere": last("chosen_candidate", "nobody#0"),
        "with a candidate on both sides": last("chosen_candidate", "nobody#0"),
    },
    "manifest": {
        "without the column audio": without("audio"),
        "with durations of text": cast("duration", "string"),
        "with a duration of NaN": last("duration", float("nan")),
        "with a duration below 0": last("duration", -1.0),
        "with recordings of text": cast("recording", "string"),
        "with recordings of structs": cast("recording", "struct"),
        "with a recording of no bytes": last("recording", {"bytes": b"", "path": "x.wav"}),
        "with a suffix that leads out (good)": last("recording", lambda one: one | {"path": "a./../../x"}),
        "with a row twice": TWICE,
        "with an id that leads out (good)": last("id", "../../outside"),
    },
}
PAIRS: dict[str, Change] = (
    BROKEN
    | {  # token ids of preference pairs, as others have them
        "without the column chosen_ids": without("chosen_ids"),
        "with ids of text": cast("chosen_ids", "string"),
        "with ids of lists of text": cast("chosen_ids", "list"),
        "with ids of halves": cast("chosen_ids", "numbers"),
        "with one id for a list": cast("chosen_ids", "int64"),
        "with ids that are null": last("chosen_ids", None),
        "with a list of no ids": last("chosen_ids", []),
        "with a null among the ids": last("chosen_ids", lambda ids: [*ids[:-1], None]),
        "with an id outside the vocabulary": last("chosen_ids", lambda ids: [*ids[:-1], 2**30]),
        "with an id below 0": last("chosen_ids", lambda ids: [*ids[:-1], -1]),
        "with an id of a word": last("chosen_ids", lambda ids: [0, *ids[1:]]),
        "with margins that are torn": last("margins", "{"),
        "with margins that are a list": last("margins", "[1]"),
        "with margins of text": last("margins", '{"wer": "much"}'),
        "with margins of NaN": last("margins", '{"wer": NaN}'),
        "with a pair twice": TWICE,
        "with a text that is not UTF-8": not_utf8("text"),
    }
)
SETS: dict[str, dict[str, Change]] = {
    "recordings": RECORDINGS | ODD,
    "trl": PAIRS,
    **{name: BROKEN | changes for name, changes in TABLES.items()},
}


def good_recordings(path: Path) -> None:
    """A data set of recordings in order, as `datasets` writes it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    audio = pa.array([{"bytes": sound(".flac"), "path": f"{k}.flac"} for k in range(3)])
    ids, speakers = pa.array([f"utt{k}" for k in range(3)]), pa.array([1, 2, 3])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": ids, "audio": audio, "text": pa.array(SAID), "speaker_id": speakers}), path)


def made(world: World, name: str, good: Path) -> Path:
    """The folder of the bad files of a set, made when it is first asked for; raises Problem when that fails."""
    folder = world.folder / "parquet" / name
    if not folder.exists():
        command = [sys.executable, "-m", "benchmarks.fault_trials.parquet_files", name, str(good), str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise Problem(f"the Parquet files {name} could not be made: {done.stderr[-1500:]}")
    return folder


def cases() -> Iterator[Case]:
    """All of them, by door."""
    door = "data_prep.hf_dataset"
    lossless = accounted(3, whole=True)
    for name in RECORDINGS:
        yield Case(door, f"Parquet {name}", partial(_recordings, change=name), accounted(3))
    for name in ODD:
        yield Case(door, f"Parquet {name}", partial(_recordings, change=name), lossless)
    for name, put in _FILES.items():
        yield Case(door, f"Parquet {name}", partial(_recordings, change="in order (good)", put=put), lossless)


def _circle(path: Path) -> None:
    (path.parent / "circle").symlink_to(path.parent, target_is_directory=True)


_FILES: dict[str, Callable[[Path], Any]] = {
    "that is a folder": lambda path: path.mkdir(),
    "that is a pipe": os.mkfifo,
    "that is a link to itself": lambda path: path.symlink_to(path.name),
    "that is not there": lambda path: None,
    "beside links in a circle (good)": _circle,
}


def _recordings(place: Place, change: str, put: Callable[[Path], Any] | None = None) -> list[str]:
    folder = made(place.world, "recordings", place.world.folder / "parquet" / "good.parquet")
    number = list(SETS["recordings"]).index(change)
    path = place.file("raw/data/train-00000-of-00001.parquet", (folder / f"{number}.parquet").read_bytes())
    if put is not None and put is not _circle:
        path.unlink()
    if put is not None:
        put(path)
    for outside in (place.folder / "raw" / "outside.wav", OUTSIDE):
        outside.write_bytes(sound(".wav"))
    return [str(place.folder / "raw" / "data"), "--out", str(place.folder / "out" / "m.jsonl"), "--max-failed", "0.6"]

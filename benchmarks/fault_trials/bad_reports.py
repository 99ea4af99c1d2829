"""What the doors are given that read reports and suites: damaged reports, suites that are none, copies that cannot be made."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.fault_trials.bad_audio import put, put_tone
from benchmarks.fault_trials.doors import COUNTED, TAKEN, Case, Place
from benchmarks.fault_trials.lives import Ended
from lpo_tts.comparison.candidates import JudgedCandidate
from lpo_tts.comparison.results import plain
from lpo_tts.comparison.summary import summarise
from lpo_tts.judging import role_of
from lpo_tts.metrics.duration import Duration
from lpo_tts.records import Judgement

REPORTS: dict[str, bytes | str] = {
    "empty": "",
    "torn": '{"schema": 2, "systems": ["a"',
    "a list": "[]",
    "null": "null",
    "an empty object": "{}",
    "NaN": '{"schema": NaN}',
    "UTF-16": '{"schema": 2}'.encode("utf-16"),
    "no text": b"\xff\xfe\x00",
    "brackets 20,000 deep": "[" * 20000,
    "a key twice": '{"schema": 2, "schema": 2}',
    "of a later schema": '{"schema": 99}',
    "of an earlier schema": '{"schema": 1, "systems": ["a"]}',
    "of another program": '{"loss": [1, 2, 3]}',
}


def good_report() -> dict[str, Any]:
    """The report of two systems and six prompts, as a tree."""
    role = role_of(Duration(), "duration", "judge", "duration")
    rows = [
        JudgedCandidate(
            system=system,
            prompt_id=f"p{number}",
            seed=0,
            text=f"gate {number}",
            duration=1.0 + number / 10,
            judgements={"duration": Judgement(value=1.0 + number / 10 + (system == "new"))},
        )
        for system in ("old", "new")
        for number in range(6)
    ]
    return plain(summarise(rows, [role], "old", num_resamples=50))


def _set(*keys: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def spoil(tree: Any) -> None:
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = to

    return spoil


SPOILT: dict[str, Callable[[dict[str, Any]], None]] = {  # one thing wrong in a report that is good otherwise
    "no metrics": _set("metrics", to=[]),
    "metrics that are a number": _set("metrics", to=5),
    "results of nobody": _set("results", to={}),
    "results that are a list": _set("results", to=[]),
    "a system that is a number": _set("systems", to=[1, 2]),
    "a baseline that is none": _set("baseline", to="nobody"),
    "a role that is none": _set("metrics", 0, "role", to="emperor"),
    "prompts that are a number": _set("prompts", to=5),
    "a prompt without a text": _set("prompts", 0, "text", to=None),
    "an average that is none": _set("average", to="median"),
    "a prompt's sums that are too few": _set("prompts", 0, "sums", "new", "duration", to=[1.0]),
    "a prompt's sums that are text": _set("prompts", 0, "sums", "new", "duration", to=["much", 1]),
    "a figure that is text": _set("results", "new", "figures", "duration", "mean", to="much"),
    "an interval that is text": _set("results", "new", "figures", "duration", "mean", "low", to="little"),
    "a confidence that is text": _set("bootstrap", "confidence", to="much"),
}
UNREAD: dict[str, Callable[[dict[str, Any]], None]] = {  # differences are computed from the prompts; nobody reads these
    "a difference of an unknown metric (good)": _set("differences", 0, "metric", to="nobody"),
    "a prompt's value that is text (good)": _set("prompts", 0, "values", "new", "duration", to="much"),
    "counts below 0 (good)": _set("results", "new", "asked", to=-3),
}

COMPARE_OPTIONS: dict[str, list[str]] = {
    "names too few": ["--names", "a"],
    "names that are empty": ["--names", ","],
    "against nobody": ["--against", "nobody"],
    "sorted by nobody": ["--sort", "nobody"],
    "a metric that is none": ["--metric", "nobody"],
    "a figure that is none": ["--metric", "duration:frobs"],
    "out in a file": ["--out", "/dev/null/x"],
}

SUITES: dict[str, str] = {
    "torn": "about: {measures: ",
    "empty": "",
    "a list": "- a\n",
    "an unknown key": "frobs: 3\n",
    "no modes": "about: {}\ndata: {name: listed}\nprompts: p.jsonl\nlanguages: [en]\nmodes: {}\n",
    "code": "about: !!python/object/apply:os.system ['touch witness']\n",
}

DEGRADE: dict[str, tuple[bytes | str, list[str]]] = {  # contents of manifest.jsonl, options
    "a torn manifest": ('{"id": "a", "audio": "a.w', []),
    "an empty manifest": ("", []),
    "a list without recordings": ('{"id": "a", "text": "gate one"}\n', []),
    "a manifest of no split": ("", ["--split", "dev"]),
    "every first": ("", ["--every", "1"]),
    "a seed below 0": ("", ["--seed", "-1"]),
    "no rows": ("", ["--limit", "0"]),
    "out in a file": ("", ["--out", "/dev/null/x"]),
}


def cases() -> Iterator[Case]:
    """Reports for every door that reads them, suites, and recordings to degrade."""
    for door in ("compare", "leaderboard"):
        for name, text in REPORTS.items():
            yield Case(door, f"a report that is {name}", partial(_report, door=door, text=text), _told)
        for name, spoil in SPOILT.items():
            yield Case(door, f"a report with {name}", partial(_spoilt, door=door, spoil=spoil), _told)
        for name, spoil in UNREAD.items():
            yield Case(door, f"a report with {name}", partial(_spoilt, door=door, spoil=spoil), lambda place, ended: TAKEN)
        yield Case(door, "a folder without a report", partial(_report, door=door, text=None))
    for name, more in COMPARE_OPTIONS.items():
        yield Case("compare", name, partial(_compared, more=more))
    yield Case("compare", "nothing that is there", lambda place: [place.folder / "nowhere"])
    yield Case(
        "compare", "a run that is an audio file", lambda place: [put_tone(place.folder / "a.wav", 1.0) or place.folder / "a.wav"]
    )
    yield Case("leaderboard", "an unknown metric", lambda place: [_good(place).parent, "--by", "nobody"])
    yield Case("leaderboard", "nothing that is there", lambda place: [place.folder / "nowhere"])
    yield from _suite_cases()
    yield from _degrade_cases()


def _good(place: Place, name: str = "run/report/report.json") -> Path:
    return place.file(name, json.dumps(good_report()))


def _report(place: Place, door: str, text: bytes | str | None) -> list[Path]:
    """A good report and a bad one."""
    _good(place, "runs/good/report/report.json")
    bad = place.folder / "runs" / "bad"
    bad.mkdir(parents=True)
    if text is not None:
        place.file("runs/bad/report/report.json", text)
    if door == "leaderboard":
        return [place.folder / "runs" / ("bad" if text is None else "")]
    return [place.folder / "runs" / "good", bad]


def _spoilt(place: Place, door: str, spoil: Callable[[dict[str, Any]], None]) -> list[Path]:
    tree = copy.deepcopy(good_report())
    spoil(tree)
    return _report(place, door, json.dumps(tree))


def _told(place: Place, ended: Ended) -> str | None:
    """A leaderboard goes on without a report that cannot be read, and says so."""
    return COUNTED if "skipped" in ended.out + ended.err else None


def _compared(place: Place, more: Sequence[str]) -> list[Path | str]:
    return [_good(place, "a/report.json"), _good(place, "b/report.json"), *more]


def _suite_cases() -> Iterator[Case]:
    door = "evaluation.suites"
    for name, text in SUITES.items():
        yield Case(door, f"a suite that is {name}", lambda place, text=text: [place.file("s.yaml", text)])
    given: dict[str, Callable[[Place], list[Any]]] = {
        "unknown": lambda place: ["no-such-suite"],
        "nowhere": lambda place: ["/nowhere.yaml"],
        "a local copy without a place for the result": lambda place: ["seed-tts-eval-en", "--from", place.folder],
        "a place without a local copy": lambda place: ["seed-tts-eval-en", "--out", place.folder / "o"],
        "a local copy that is nowhere": lambda place: ["seed-tts-eval-en", "--from", "/nowhere", "--out", place.folder / "o"],
        "an empty local copy": lambda place: ["seed-tts-eval-en", "--from", _empty(place), "--out", place.folder / "o"],
        "a local copy that is a file": lambda place: ["seed-tts-eval-en", "--from", place.file("f"), "--out", place.folder / "o"],
        "out in a file": lambda place: ["seed-tts-eval-en", "--from", _empty(place), "--out", "/dev/null/x"],
        "options without a suite": lambda place: ["--out", place.folder / "o"],
    }
    for name, build in given.items():
        yield Case(door, name, build)


def _empty(place: Place) -> Path:
    folder = place.folder / "empty"
    folder.mkdir()
    return folder


def _degrade_cases() -> Iterator[Case]:
    door = "evaluation.degrade"
    for name, (text, more) in DEGRADE.items():
        yield Case(door, name, partial(_degraded, text=text, more=more))
    for kind in ("no bytes", "text", "a torn wav", "NaN among the samples", "silence", "a folder", "a pipe", "a link to itself"):
        yield Case(door, f"a recording: {kind}", partial(_recording, kind=kind), _left_out)
        yield Case(door, f"only a recording: {kind}", partial(_recording, kind=kind, alone=True))
    yield Case(door, "an id that leads out", partial(_degraded, text=_row("../a", "a.wav")))
    yield Case(door, "an id twice", partial(_degraded, text=_row("a", "a.wav") * 2))
    yield Case(door, "copies of other settings", _other_settings)
    yield Case(door, "a side-car that is torn", partial(_torn_side_car, text='{"settings": '))
    yield Case(door, "a side-car that is a list", partial(_torn_side_car, text="[]"))
    yield Case(door, "one recording (good)", partial(_degraded, more=["--kinds", "noise5"]), lambda place, ended: TAKEN)
    for name, text in REPORTS.items():
        yield Case(door, f"--check a report that is {name}", partial(_checked, text=text))
    yield Case(door, "--check without copies", lambda place: ["--out", place.folder, "--check", _good(place)])


def _row(name: str, audio: str) -> str:
    return json.dumps({"id": name, "audio": audio, "text": "gate one", "duration": 1.0, "speaker": "s"}) + "\n"


def _degraded(place: Place, text: bytes | str = "", more: Sequence[str] = ()) -> list[Path | str]:
    put_tone(place.folder / "a.wav", 1.0)
    table = place.file("manifest.jsonl", text if text or not more else _row("a", "a.wav"))
    return ["--list", table, "--out", place.folder / "copies", *more]


def _recording(place: Place, kind: str, alone: bool = False) -> list[Path | str]:
    """One bad recording, alone or beside a good one."""
    put(kind, place.folder / "b.wav")
    return _degraded(place, ("" if alone else _row("a", "a.wav")) + _row("b", "b.wav"), ["--max-failed", "0.6"])


def _left_out(place: Place, ended: Ended) -> str | None:
    listed = (place.folder / "copies" / "list.jsonl").read_text()
    return COUNTED if "left out: b" in ended.err and '"b"' not in listed else None


def _other_settings(place: Place) -> list[Path | str]:
    place.run_before("evaluation.degrade", _degraded(place, more=["--kinds", "noise5"]))
    return _degraded(place, more=["--kinds", "noise5", "--seed", "7"])


def _torn_side_car(place: Place, text: str) -> list[Path | str]:
    place.file("copies/degrade.json", text)
    return _degraded(place, more=["--kinds", "noise5"])


def _checked(place: Place, text: bytes | str) -> list[Path | str]:
    place.run_before("evaluation.degrade", _degraded(place, more=["--kinds", "noise5"]))
    return ["--out", place.folder / "copies", "--check", place.file("report.json", text)]

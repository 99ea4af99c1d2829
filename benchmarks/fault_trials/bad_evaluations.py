"""What an evaluation is given: lists, folders of answers, options, what an earlier run left, and a folder that is in use."""

import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.fault_trials.bad_audio import AUDIO, RATE, TONE, put, put_tone
from benchmarks.fault_trials.bad_lists import GOOD, LISTS
from benchmarks.fault_trials.doors import COUNTED, FAULT, MENDED, TAKEN, Case, Place
from benchmarks.fault_trials.lives import ROOT, Ended
from lpo_tts.files import read_json

DOOR = "evaluation.evaluate"
EARS = f"mini:model={ROOT}/recipes/mini/checkpoints/asr-train"
JUDGE = "wer-mini"

MORE_LISTS: dict[str, tuple[str, bytes | str]] = {
    "UTF-16": ("l.jsonl", GOOD.encode("utf-16")),
    "Latin-1": ("meta.lst", "a|gäte one\n".encode("latin-1")),
    "an empty text": ("l.jsonl", '{"id": "a", "text": "  "}\n'),
    "blank lines alone": ("l.jsonl", "\n\n \n"),
    "a NUL character": ("meta.lst", "a|gate\0one\n"),
    "a line of a megabyte": ("l.jsonl", '{"id": "a", "text": "' + "gate " * 200_000 + '"}\n'),
    "an unknown language": ("l.jsonl", '{"id": "a", "text": "gate one", "language": "xx"}\n'),
    "another language": ("l.jsonl", '{"id": "a", "text": "porte un", "language": "fr"}\n'),
}

GONE: dict[str, tuple[str, bytes | str]] = {  # recordings of the list that are not there; each is refused
    "a voice that is nowhere": ("l.jsonl", '{"id": "a", "text": "gate one", "voice": "nowhere.wav"}\n'),
    "a target that is nowhere": ("l.jsonl", '{"id": "a", "text": "gate one", "target": "nowhere.wav"}\n'),
    "meta.lst with a voice that is nowhere": ("meta.lst", "a|one|nowhere.wav|gate one\n"),
    "meta.lst with a target that is nowhere": ("meta.lst", "a|one|out.wav|gate one|nowhere.wav\n"),
    "a target that is a folder": ("l.jsonl", '{"id": "a", "text": "gate one", "target": "wavs"}\n'),
    "a voice within a tar that is none": ("l.jsonl", '{"id": "a", "text": "gate one", "voice": "out.wav/v.wav"}\n'),
    "a voice of no name that a file can have": ("l.jsonl", json.dumps({"id": "a", "text": "one", "voice": "v" * 300}) + "\n"),
    "a thousand voices that are nowhere": (
        "l.jsonl",
        "".join(json.dumps({"id": f"a{k}", "text": "gate one", "voice": f"{k}.wav"}) + "\n" for k in range(1000)),
    ),
}

OPTIONS: dict[str, list[str]] = {
    "no judge": ["--asr-none"],
    "unknown recogniser": ["--asr", "x=no-such-ears"],
    "recogniser that is nowhere": ["--asr", "x=mini:model=/nowhere"],
    "recogniser that is no class": ["--asr", "x=os:system"],
    "two judges of one name": ["--asr", EARS],
    "a system without a source": ["--system", "b"],
    "a system without a name": ["--system", "=/tmp"],
    "a name twice": ["--system", "new=/tmp"],
    "a name that is taken": ["--system", "recording=/tmp"],
    "a name that leads out": ["--system", "../b=/tmp"],
    "a source that is nowhere": ["--system", "b=/nowhere/at/all"],
    "a source that is a file": ["--system", "b=/etc/hostname"],
    "a baseline that is none": ["--baseline", "nobody"],
    "a margin of nobody": ["--margin", "nobody=0.01"],
    "a margin below 0": ["--margin", f"{JUDGE}=-0.01"],
    "a margin of 0": ["--margin", f"{JUDGE}=0"],
    "a margin NaN": ["--margin", f"{JUDGE}=nan"],
    "a margin that is no number": ["--margin", f"{JUDGE}=little"],
    "a margin without a number": ["--margin", JUDGE],
    "confidence 0": ["--confidence", "0"],
    "confidence 1": ["--confidence", "1"],
    "confidence 95": ["--confidence", "95"],
    "confidence NaN": ["--confidence", "nan"],
    "no resamples": ["--num-resamples", "0"],
    "fewer permutations than none": ["--num-permutations", "-5"],
    "fewer examples than none": ["--num-examples", "-1"],
    "no prompts": ["--num-prompts", "0"],
    "no batch": ["--batch-size", "0"],
    "workers without end": ["--workers", "100000000"],
    "device that is none": ["--device", "foo"],
    "normaliser against the protocol": ["--protocol", "seed-tts-eval", "--normaliser", "basic"],
    "an unknown suite beside a list": ["--suite", "no-such-suite"],
    "a recipe that is nowhere": ["--recipe", "/nowhere.yaml"],
    "judges that are nowhere": ["--judges", "/nowhere.yaml"],
    "judges that are a folder": ["--judges", "/tmp"],
    "an unknown codec": ["--codec", "no-such-codec"],
    "an override without a recipe": ["sample.k=3"],
    "an unknown setting of the report": ["evaluate.frobs=3"],
    "a list that is nowhere": ["--list", "/nowhere.jsonl"],
    "a list that is a folder": ["--list", "/tmp"],
    "out in a file": ["--out", "/dev/null/report"],
    "a language of blanks": ["--language", " "],
}

JUDGES: dict[str, str] = {
    "torn": "evaluate: {judges: {a: ",
    "a list": "- a\n",
    "empty": "",
    "no judges": "evaluate: {judges: {}}\n",
    "an unknown key": "evaluate: {jugdes: {}}\n",
    "a key twice": "evaluate: {folder: a}\nevaluate: {folder: b}\n",
    "a judge without a metric": "evaluate: {judges: {a: {role: judge, label: a}}}\n",
    "a margin below 0": "evaluate: {judges: {a: {role: judge, label: a, margin: -1, metric: {name: duration}}}}\n",
    "code": "evaluate: !!python/object/apply:os.system ['touch witness']\n",
}


def cases() -> Iterator[Case]:
    """Every list, answer, option, and what lies where the result is to go."""
    for name, (file, text) in {**LISTS, **MORE_LISTS}.items():
        yield Case(DOOR, f"list: {name}", partial(_asked, file=file, text=text), _counted)
    for name, (file, text) in GONE.items():
        yield Case(DOOR, f"list: {name}", partial(_asked, file=file, text=text))
    for name, text in {
        "recordings that are there": GOOD.replace("}", ', "voice": "out.wav", "target": "out.wav#t=0,0.5"}'),
        "a byte-order mark": "\ufeff" + GOOD,
        "language null": GOOD.replace("}", ', "language": null}'),
        "U+2028 in a text": GOOD.replace(" one", "\u2028one"),
    }.items():
        yield Case(DOOR, f"list: {name} (good)", partial(_asked, text=text), _taken)
    for kind in AUDIO:
        if not kind.endswith("(good)"):
            yield Case(DOOR, f"answer: {kind}", partial(_answered, answer=partial(put, kind)), _counted)
    for name, answer in ANSWERS.items():
        yield Case(DOOR, f"answer: {name}", partial(_answered, answer=answer), _taken)
    for name, more in OPTIONS.items():
        yield Case(DOOR, name, partial(_asked, more=more))
    for name, text in JUDGES.items():
        yield Case(DOOR, f"judges: {name}", partial(_with_judges, text=text))
    yield Case(
        DOOR, "no system", lambda place: ["--list", place.file("l.jsonl", GOOD), "--out", place.folder / "o", "--asr", EARS]
    )
    yield Case(DOOR, "an empty folder", _empty_folder)
    yield Case(DOOR, "answers of other ids", partial(_asked, text=GOOD.replace('"a"', '"z"')), _counted)
    yield Case(DOOR, "seeds in two layouts", _two_layouts)
    yield Case(DOOR, "another one works in the folder", _in_use)
    for name, text in LEFT.items():
        yield Case(DOOR, f"an earlier report that is {name}", partial(_left, table="report/report.json", text=text), _mended)
        yield Case(DOOR, f"earlier judgements that are {name}", partial(_left, table="judgements", text=text), _mended)
    yield Case(DOOR, "judgements of another text", _other_text, _judged_anew)


LEFT = {
    "torn": '{"id": "a", "val',
    "empty": "",
    "a list": "[]\n",
    "NaN": '{"value": NaN}\n',
    "not UTF-8": b"\xff\xfe\n",
}


def _stereo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.repeat(np.resize(TONE, 48000)[:, None], 2, axis=1), 48000, format="WAV")


def _clipping(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sign(TONE), RATE, format="WAV")


ANSWERS: dict[str, Callable[[Path], object]] = {  # odd, and good: each is judged
    "48 kHz and stereo (good)": _stereo,
    "35 seconds (good)": lambda path: put_tone(path, 35.0),
    "clipped throughout (good)": _clipping,
    "8 kHz (good)": lambda path: soundfile.write(path, TONE[:8000], 8000, format="WAV"),
}


def _asked(place: Place, file: str = "l.jsonl", text: bytes | str = GOOD, more: Sequence[str] = ()) -> list[str | Path]:
    """An evaluation of one answer; what comes later on the command line counts."""
    put_tone(place.folder / "wavs" / "a.wav", 0.8)
    put_tone(place.folder / "out.wav", 0.8)
    given = ["--system", f"new={place.folder}/wavs", "--list", place.file(file, text), "--out", place.folder / "o"]
    judge = [] if "--asr-none" in more else ["--asr", EARS]
    return [
        *given,
        "--num-resamples",
        "1000",
        "--num-permutations",
        "1000",
        *judge,
        *(one for one in more if one != "--asr-none"),
    ]


def _answered(place: Place, answer: Callable[[Path], object]) -> list[str | Path]:
    """Two answers, of which one is odd."""
    arguments = _asked(place, text=GOOD + GOOD.replace('"a"', '"b"'))
    answer(place.folder / "wavs" / "b.wav")
    return arguments


def _with_judges(place: Place, text: str) -> list[str | Path]:
    return _asked(place, more=["--asr-none", "--judges", str(place.file("judges.yaml", text))])


def _empty_folder(place: Place) -> list[str | Path]:
    (place.folder / "nothing").mkdir()
    return _asked(place, more=["--system", f"b={place.folder}/nothing"])


def _two_layouts(place: Place) -> list[str | Path]:
    arguments = _asked(place)
    put_tone(place.folder / "wavs" / "a#1.wav", 0.8)
    return arguments


def _in_use(place: Place) -> list[str | Path]:
    """The folder of the result is held, as by another process."""
    held = place.file("o/.lock").open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    place.held.append(held)
    return _asked(place)


def _left(place: Place, table: str, text: bytes | str) -> list[str | Path]:
    """An earlier run of the same command, whose table (or all tables of a folder) is damaged."""
    arguments = _asked(place)
    code = place.run_before(DOOR, arguments)
    if code:
        raise RuntimeError(f"{DOOR} {arguments} ended with {code}; nothing can be damaged")
    path = place.folder / "o" / table
    for one in [path] if path.is_file() else sorted(path.rglob("*.jsonl")):
        place.file(one.relative_to(place.folder).as_posix(), text)
    return arguments


def _other_text(place: Place) -> list[str | Path]:
    arguments = _asked(place)
    place.run_before(DOOR, arguments)
    place.file("l.jsonl", GOOD.replace("one", "two"))
    return arguments


def _judged_anew(place: Place, ended: Ended) -> str | None:
    """The errors are counted against the new text, and the row of the old one is gone."""
    (table,) = (place.folder / "o" / "judgements" / JUDGE).glob("*.jsonl")
    text = table.read_text(encoding="utf-8")
    return MENDED if "gate two" in text and "gate one" not in text else None


def _rows(place: Place) -> dict[str, dict]:
    """What the report says of each judge's count."""
    report = read_json(place.folder / "o" / "report" / "report.json")
    return {name: row for system in report["results"].values() for name, row in system["metrics"].items()}


def _counted(place: Place, ended: Ended) -> str | None:
    rows = _rows(place)
    spoilt = sum(one["missing"] + one["unreadable"] + one["unscorable"] + one.get("no_words", 0) for one in rows.values())
    return COUNTED if spoilt else TAKEN if all(one["evaluated"] == one["asked"] for one in rows.values()) else None


def _taken(place: Place, ended: Ended) -> str | None:
    return TAKEN if all(one["evaluated"] == one["asked"] for one in _rows(place).values()) else None


def _mended(place: Place, ended: Ended) -> str | None:
    path = place.folder / "o" / "report" / "report.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["results"]
    except ValueError:
        return f"{FAULT}: the damaged report was left as it is"
    return MENDED if rows else None

"""What the programs beside the library are given: corpora, test lists, folders of audio, run folders to listen to."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.fault_trials.bad_audio import put_tone
from benchmarks.fault_trials.doors import COUNTED, TAKEN, Case, Place, Verify
from benchmarks.fault_trials.lives import ROOT, Ended
from demo import run_folder
from demo.listening.items import folder_items
from demo.live import Asked, Live
from demo.pair_views import Pairs
from demo.run_folder import RunSession
from lpo_tts.files import read_json

LISTS: dict[str, tuple[str, bytes | str]] = {  # file name, contents
    "empty": ("l.jsonl", ""),
    "torn": ("l.jsonl", '{"id": "a", "text": "ga'),
    "not UTF-8": ("l.jsonl", b'{"id": "a", "text": "\xff"}\n'),
    "a list for a row": ("l.jsonl", "[1, 2]\n"),
    "no text": ("l.jsonl", '{"id": "a"}\n'),
    "a text of no words": ("l.jsonl", '{"id": "a", "text": "..."}\n'),
    "a number for a language": ("l.jsonl", '{"id": "a", "text": "gate one", "language": 5}\n'),
    "a number for a voice": ("l.jsonl", '{"id": "a", "text": "gate one", "voice": 5}\n'),
    "an id twice": ("l.jsonl", '{"id": "a", "text": "gate one"}\n' * 2),
    "an id that leads out": ("l.jsonl", '{"id": "../out", "text": "gate one"}\n'),
    "an absolute id": ("l.jsonl", '{"id": "/etc/passwd", "text": "gate one"}\n'),
    "an id of 300 characters": ("l.jsonl", json.dumps({"id": "a" * 300, "text": "gate one"}) + "\n"),
    "NaN in a tag": ("l.jsonl", '{"id": "a", "text": "gate one", "tags": {"x": NaN}}\n'),
    "tags that are a list": ("l.jsonl", '{"id": "a", "text": "gate one", "tags": [1]}\n'),
    "a lone surrogate": ("l.jsonl", '{"id": "a", "text": "gate \\ud800"}\n'),
    "brackets 20,000 deep": ("l.jsonl", "[" * 20000),
    "meta.lst of one field": ("meta.lst", "a\n"),
    "meta.lst of six fields": ("meta.lst", "a|b|c|d|e|f\n"),
    "meta.lst without an id": ("meta.lst", "|gate one\n"),
    "meta.lst with an empty text": ("meta.lst", "a||gate one\n"),
    "meta.lst that leads out": ("meta.lst", "../out|gate one\n"),
}

GOOD = '{"id": "a", "text": "gate one"}\n'


def cases() -> Iterator[Case]:
    """Corpora, checkpoints to compare, runs to listen to; what is done with `LISTS`, bad_evaluations.py says."""
    yield from _folder_cases()
    yield from _corpus_cases()
    yield from _checkpoint_cases()
    yield from _demo_cases()


TABLES: dict[str, tuple[str, bytes | str]] = {
    "missing column": ("t.csv", "audio,words\na.wav,gate\n"),
    "empty": ("t.csv", ""),
    "torn quote": ("t.csv", 'audio,text\na.wav,"gate one\nb.wav,gate two\n'),
    "not UTF-8": ("t.csv", b"audio,text\na.wav,\xff\n"),
    "a spreadsheet": ("t.xlsx", b"PK\x03\x04"),
    "torn JSON": ("t.jsonl", '{"audio": "a.wav", "te'),
    "a list for a row": ("t.jsonl", "[1]\n"),
    "NaN": ("t.jsonl", '{"audio": "a.wav", "text": NaN}\n'),
    "NUL in a path": ("t.jsonl", '{"audio": "a\\u0000.wav", "text": "gate"}\n'),
    "a row of too many fields": ("t.csv", "audio,text\na.wav,gate,one,two\n"),
    "a row of too few fields": ("t.csv", "audio,text\na.wav\n"),
    "a split that is none": ("t.csv", "audio,text,split\na.wav,gate,trian\n"),
    "a name of 300 characters": ("t.csv", f"audio,text\n{'a' * 300}.wav,gate\n"),
    "a path that is nowhere": ("t.csv", "audio,text\nnowhere.wav,gate\n"),
}

OPTIONS: dict[str, list[str]] = {
    "minimum NaN": ["--min-duration", "nan"],
    "maximum below minimum": ["--min-duration", "3", "--max-duration", "1"],
    "shares above 1": ["--dev", "0.8", "--test", "0.8"],
    "share below 0": ["--dev", "-0.1"],
    "max-failed above 1": ["--max-failed", "2"],
    "out that is no table": ["--out", "/tmp/manifest.csv"],
    "out in a file": ["--out", "/dev/null/manifest.jsonl"],
    "table that is nowhere": ["--table", "/nowhere.csv"],
}


def _failed_rows(place: Place, ended: Ended) -> str | None:
    failed = place.folder / "m.failed.jsonl"
    return COUNTED if failed.exists() and failed.read_text().strip() and "1 failed" in ended.err else None


def _one_row(place: Place, ended: Ended) -> str | None:
    return TAKEN if read_json(place.folder / "m.jsonl.meta.json")["counts"]["rows"] == 1 else None


LJSPEECH: dict[str, tuple[bytes, Verify | None]] = {  # metadata.csv, and how to see that the bad row is counted
    "metadata not UTF-8": (b"a|\xff|x\n", None),
    "metadata empty": (b"", None),
    "a row of five fields": (b"a|x|gate one\nb|1|2|3|4\n", _failed_rows),
    "a row without its wav": (b"a|x|gate one\nc|x|gate two\n", _failed_rows),
    "an id twice": (b"a|x|gate one\na|x|gate two\n", _failed_rows),
    "an id that leads out": (b"a|x|gate one\n../../x|x|gate two\n", _failed_rows),
    "a byte-order mark (good)": ("\ufeffa|x|gate one\n".encode(), _one_row),
}
LIBRISPEECH: dict[str, tuple[bytes, Verify | None]] = {
    "transcripts not UTF-8": (b"1-2-0 GATE ONE\n1-2-1 \xff\n", _failed_rows),
    "a line without words": (b"1-2-0 GATE ONE\n1-2-1\n", _failed_rows),
    "a line without its flac": (b"1-2-0 GATE ONE\n1-2-1 GATE TWO\n", _failed_rows),
    "a byte-order mark (good)": ("\ufeff1-2-0 GATE ONE\n".encode(), _one_row),
}


def _folder_cases() -> Iterator[Case]:
    def of(raw: Callable[[Place], Path]) -> Callable[[Place], list[Path | str]]:
        return lambda place: [raw(place), "--out", place.folder / "m.jsonl"]

    yield Case("data_prep.folder", "no folder", of(lambda place: place.folder / "no"))
    yield Case("data_prep.folder", "empty folder", of(lambda place: _made(place.folder / "raw")))
    yield Case("data_prep.folder", "a file for a folder", of(lambda place: place.file("raw")))
    for name, (file, text) in TABLES.items():
        yield Case("data_prep.folder", f"table: {name}", partial(_tabled, file=file, text=text), _failed_rows)
    for name, more in OPTIONS.items():
        yield Case("data_prep.folder", f"option: {name}", partial(_raw, more=more))
    for name, transcript in {"not UTF-8": b"\xff", "empty": b"", "missing": None}.items():
        yield Case("data_prep.folder", f"transcript {name}", partial(_raw, transcript=transcript), _failed_rows)
    yield Case("data_prep.folder", "transcript a pipe", _pipe, _failed_rows)
    yield Case("data_prep.ljspeech", "no metadata", of(lambda place: _made(place.folder / "raw")))
    yield Case("data_prep.ljspeech", "metadata a folder", of(lambda place: _made(place.folder / "raw" / "metadata.csv").parent))
    yield Case("data_prep.librispeech", "no transcripts", of(lambda place: _made(place.folder / "raw")))
    yield Case("recipes.mini.corpus", "no such size", lambda place: ["--out", place.folder / "c", "--train", "-1"])
    yield Case("recipes.mini.corpus", "corpus of other settings", lambda place: ["--out", place.world.corpus, "--train", "5"])


def _corpus_cases() -> Iterator[Case]:
    for name, (text, verify) in LJSPEECH.items():
        yield Case("data_prep.ljspeech", name, partial(_ljspeech, metadata=text), verify)
    for name, (text, verify) in LIBRISPEECH.items():
        yield Case("data_prep.librispeech", name, partial(_librispeech, transcript=text), verify)
    subset = ["--subset", "train-filthy"]
    yield Case("data_prep.librispeech", "an unknown subset", lambda place: [*_librispeech(place, b"1-2-0 GATE ONE\n"), *subset])


def _made(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def _raw(place: Place, more: Sequence[str] = (), transcript: bytes | None = b"gate one") -> list[str]:
    raw = place.folder / "raw"
    for name in ("a", "b"):
        put_tone(raw / f"{name}.wav", 0.8)
    (raw / "b.txt").write_text("gate two")
    if transcript is not None:
        (raw / "a.txt").write_bytes(transcript)
    return [str(raw), "--out", str(place.folder / "m.jsonl"), "--max-failed", "0.6", *more]  # the last of an option counts


def _tabled(place: Place, file: str, text: bytes | str) -> list[str]:
    return _raw(place, ["--table", str(place.file(file, text))])


def _pipe(place: Place) -> list[str]:
    arguments = _raw(place, transcript=None)
    os.mkfifo(place.folder / "raw" / "a.txt")
    return arguments


def _ljspeech(place: Place, metadata: bytes) -> list[str]:
    raw = _made(place.folder / "raw")
    (raw / "metadata.csv").write_bytes(metadata)
    put_tone(raw / "wavs" / "a.wav", 0.8)
    put_tone(place.folder / "x.wav", 0.8)
    return [str(raw), "--out", str(place.folder / "m.jsonl"), "--max-failed", "0.6"]


def _librispeech(place: Place, transcript: bytes) -> list[str]:
    chapter = place.folder / "raw" / "train-clean" / "1" / "2"
    put_tone(chapter / "1-2-0.flac", 0.8)
    (chapter / "1-2.trans.txt").write_bytes(transcript)
    return [str(place.folder / "raw"), "--out", str(place.folder / "m.jsonl"), "--max-failed", "0.6"]


def _checkpoint_cases() -> Iterator[Case]:
    """Checkpoints that are to speak, and pairs."""
    door, base = "evaluation.evaluate", str(ROOT / "recipes" / "mini" / "checkpoints" / "base")
    for name, models in {
        "no checkpoint": [],
        "a checkpoint twice by one name": [f"a={base}", f"a={base}"],
        "a checkpoint whose name leads out": [f"../a={base}", f"b={base}"],
        "a checkpoint whose name is taken": [f"recording={base}", f"b={base}"],
        "a checkpoint without an equals sign": [base, f"b={base}"],
        "a checkpoint that is nowhere": [f"a={base}", "b=/nowhere/at/all"],
        "a checkpoint that is no model": [f"a={base}", f"b={ROOT}/recipes/mini/checkpoints/codec"],
    }.items():
        yield Case(door, name, partial(_speaking, models=models))
    yield Case(door, "checkpoints without a recipe", partial(_speaking, models=[f"a={base}"], recipe=None))
    yield Case(door, "a folder that is no checkpoint", lambda place: _speaking(place, [f"a={base}", f"b={place.folder}"]))
    yield Case(door, "a setting that is none", lambda place: [*_speaking(place, [f"a={base}"]), "sample.k=3"])
    for name, build in {
        "a manifest that is nowhere": lambda place: _pairs(place, Path("/nowhere.jsonl")),
        "a manifest that is torn": lambda place: _pairs(place, place.file("m.jsonl", '{"id": "a')),
        "a manifest that is a folder": lambda place: _pairs(place, place.folder),
        "an override that is none": lambda place: [*_pairs(place), "sample.k=3"],
        "a recipe that is nowhere": lambda place: _pairs(place, recipe="/nowhere.yaml"),
        "out in a file": lambda place: _pairs(place, out=place.file("f") / "x"),
    }.items():
        yield Case("data_prep.build_pairs", name, build)


def _speaking(place: Place, models: Sequence[str], recipe: str | None = "") -> list[Path | str]:
    """An evaluation of checkpoints; with the world's recipe, or without one."""
    given = [part for model in models for part in ("--system", model)]
    return ["--out", place.out, *given, *([] if recipe is None else ["--recipe", place.world.recipe])]


def _pairs(place: Place, manifest: Path | None = None, recipe: Path | str = "", out: Path | None = None) -> list[Path | str]:
    given = [manifest or place.world.corpus / "manifest.jsonl", "--recipe", recipe or place.world.recipe]
    return [*given, "--out", out or place.out]


def _demo_cases() -> Iterator[Case]:
    """Run folders that somebody hands over to be listened to; a function opens them, the page is another matter."""
    torn: dict[str, Callable[[bytes], bytes | str]] = {
        "torn": lambda data: data[:50],
        "a list": lambda data: "[]",
        "NaN": lambda data: data.replace(b'"seed": 0', b'"seed": NaN'),
        "module:Class": lambda data: data.replace(b'"name": "mini"', b'"name": "antigravity:Codec"'),
        "an unknown key": lambda data: data.replace(b'"seed"', b'"seeed"'),
        "brackets 20,000 deep": lambda data: "[" * 20000,
    }
    for name in ("voice", "target"):
        yield Case("demo", f"list: a {name} that is nowhere", partial(_listed, text=GOOD.replace("}", f', "{name}": "no.wav"}}')))
    yield Case("demo", "no folder", _opening)
    yield Case("demo", "empty folder", lambda place: _opening(place, folder=_made(place.folder / "empty")))
    for name, how in torn.items():
        yield Case("demo", f"recipe.mini.json: {name}", partial(_spoilt, table="recipe.mini.json", how=how, use=lambda run: None))

    def half(data: bytes) -> bytes:
        return data[: len(data) // 2]

    def pairs(run: RunSession) -> object:
        return Pairs(run).of("aligned")

    def sides(run: RunSession) -> object:
        found = Pairs(run)
        return [found.sides(one) for one in found.of("aligned")]

    for name, table, how, use in (
        ("prompts: torn", "prompts.jsonl", half, lambda run: run.voices()),
        ("voices: lost", "prompts.jsonl", lambda data: data.replace(b".wav", b".gone"), partial(_say, text="gate one", seed=1)),
        ("pairs: torn", "pairs.jsonl", half, pairs),
        ("pairs: an unknown candidate", "pairs.jsonl", lambda data: data.replace(b"#", b"#9"), sides),
        ("pairs: an unknown prompt", "pairs.jsonl", lambda data: data.replace(b'"prompt_id": "', b'"prompt_id": "z'), pairs),
        ("candidates: torn shards", "candidates/*.safetensors", lambda data: data[:-9], sides),
        ("a text with an unknown word", "pairs.jsonl", bytes, partial(_say, text="zebra", seed=1)),
        ("a seed below 0", "pairs.jsonl", bytes, partial(_say, text="gate one", seed=-1)),
    ):
        yield Case("demo", name, partial(_spoilt, table=table, how=how, use=use))


def _say(run: RunSession, text: str, seed: int) -> object:
    asked = Asked(text=text, voice=run.voices()[0], systems=("base",), temperature=1.0, seed=seed)
    return list(Live(run).speak(asked))


def _listed(place: Place, text: str) -> Callable[[], None]:
    """A list and a folder of audio to listen to."""
    put_tone(place.folder / "wavs" / "a.wav", 0.8)
    table = place.file("l.jsonl", text)

    def work() -> None:
        folder_items(table, {"new": place.folder / "wavs"})

    return work


def _spoilt(
    place: Place, table: str, how: Callable[[bytes], bytes | str], use: Callable[[RunSession], object]
) -> Callable[[], None]:
    """A finished run with other contents of some files, to be opened and used."""
    place.finished()
    for path in list(place.out.glob(table)):
        place.change(path.relative_to(place.out).as_posix(), how)
    return _opening(place, use)


def _opening(
    place: Place, use: Callable[[RunSession], object] = lambda run: None, folder: Path | None = None
) -> Callable[[], None]:
    def work() -> None:
        use(run_folder.open_run(folder or place.out))

    return work

"""What the programs beside the library are given: corpora, test lists, folders of audio, run folders to listen to."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from fault_trials.bad_audio import put_tone
from fault_trials.doors import COUNTED, TAKEN, Case, Place, judging
from fault_trials.lives import ROOT, Ended, module
from lpo_tts.files import read_json

LISTS: dict[str, tuple[str, bytes | str]] = {  # file name, contents
    "empty": ("l.jsonl", ""),
    "torn": ("l.jsonl", '{"id": "a", "text": "ga'),
    "not UTF-8": ("l.jsonl", b'{"id": "a", "text": "\xff"}\n'),
    "a list for a row": ("l.jsonl", "[1, 2]\n"),
    "no text": ("l.jsonl", '{"id": "a"}\n'),
    "a text of no words": ("l.jsonl", '{"id": "a", "text": "..."}\n'),
    "a number for a language": ("l.jsonl", '{"id": "a", "text": "gate one", "language": 5}\n'),
    "a language of none": ("l.jsonl", '{"id": "a", "text": "gate one", "language": null}\n'),
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

EVALUATE: dict[str, list[str]] = {
    "unknown recogniser": ["--asr", "no-such-ears"],
    "recogniser that is nowhere": ["--asr", "b=mini:model=/nowhere"],
    "recogniser that is no class": ["--asr", "b=os:system"],
    "recogniser with an unknown setting": ["--asr", "b=mini:frobs=3"],
    "two judges of one name": ["--asr", f"mini:model={ROOT}/recipes/mini/checkpoints/asr-train"],
    "unknown encoder": ["--speaker", "nobody"],
    "baseline that is nowhere": ["--baseline", "/nowhere"],
    "too many names": ["--names", "a", "b", "c"],
    "no resamples": ["--num-resamples", "0"],
    "fewer resamples than none": ["--num-resamples", "-5"],
    "no batch": ["--batch-size", "0"],
    "device that is none": ["--device", "foo"],
    "fewer examples than none": ["--num-examples", "-1"],
    "normaliser against the protocol": ["--protocol", "seed-tts-eval", "--normaliser", "basic"],
    "out in a file": ["--out", "/dev/null/report"],
    "list that is nowhere": ["--list", "/nowhere.jsonl"],
    "wavs that are a file": ["--wavs", "/etc/hostname"],
}


def cases() -> Iterator[Case]:
    """Corpora, lists, checkpoints to compare, runs to listen to."""
    yield from _folder_cases()
    yield from _corpus_cases()
    for name, (file, text) in LISTS.items():
        yield Case("evaluate.py", f"list: {name}", lambda place, file=file, text=text: _listed(place, place.file(file, text)), _not_judged)
    good = '{"id": "a", "text": "gate one"}\n'
    for name, more in EVALUATE.items():
        yield Case("evaluate.py", name, lambda place, more=more: _listed(place, place.file("l.jsonl", good), *more))
    yield Case("evaluate.py", "no answer of the list is there", lambda place: _listed(place, place.file("l.jsonl", good.replace('"a"', '"z"'))), _not_judged)
    yield Case("evaluate.py", "judgements of another list", _other_judgements)
    yield Case("evaluate.py", "judgements that are torn", _torn_judgements, _judged)
    yield Case("evaluate.py", "list: a byte-order mark (good)", lambda place: _listed(place, place.file("l.jsonl", "\ufeff" + good)), _judged)
    yield Case("evaluate.py", "list: U+2028 in a text (good)", lambda place: _listed(place, place.file("l.jsonl", good.replace(" one", "\u2028one"))), _judged)
    yield from _checkpoint_cases()
    yield from _demo_cases()


def _listed(place: Place, rows: Path, *more: str) -> list[str]:
    put_tone(place.folder / "wavs" / "a.wav", 0.8)
    put_tone(place.folder / "out.wav", 0.8)
    return judging(place, place.folder / "wavs", rows, "--num-resamples", "50", *more)


def _not_judged(place: Place, ended: Ended) -> str | None:
    """Counted with a reason among what was not judged, or as unscorable."""
    report = read_json(place.folder / "report" / "report.json")
    counts = [metric for system in report["results"].values() for metric in system["metrics"].values()]
    return COUNTED if report["not_judged"] or any(one["unscorable"] or one["missing"] for one in counts) else None


def _judged(place: Place, ended: Ended) -> str | None:
    report = read_json(place.folder / "report" / "report.json")
    counts = [metric for system in report["results"].values() for metric in system["metrics"].values()]
    return TAKEN if all(one["evaluated"] == 1 for one in counts) else None


def _other_judgements(place: Place) -> list[str]:
    place.file("report/judgements-wavs.jsonl", '{"id": "zzz"}\n')
    return _listed(place, place.file("l.jsonl", '{"id": "a", "text": "gate one"}\n'))


def _torn_judgements(place: Place) -> list[str]:
    place.file("report/judgements-wavs.jsonl.meta.json", '{"settings": ')
    return _listed(place, place.file("l.jsonl", '{"id": "a", "text": "gate one"}\n'))


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


def _folder_cases() -> Iterator[Case]:
    yield Case("folder.py", "no folder", lambda place: [place.folder / "no", "--out", place.folder / "m.jsonl"])
    yield Case("folder.py", "empty folder", lambda place: [_made(place.folder / "raw"), "--out", place.folder / "m.jsonl"])
    yield Case("folder.py", "a file for a folder", lambda place: [place.file("raw"), "--out", place.folder / "m.jsonl"])
    for name, (file, text) in TABLES.items():
        yield Case("folder.py", f"table: {name}", lambda place, file=file, text=text: _raw(place, "--table", str(place.file(file, text))), _failed_rows)
    for name, more in OPTIONS.items():
        yield Case("folder.py", f"option: {name}", lambda place, more=more: _raw(place, *more))
    yield Case("folder.py", "transcript not UTF-8", lambda place: _raw(place, transcript=b"\xff"), _failed_rows)
    yield Case("folder.py", "transcript empty", lambda place: _raw(place, transcript=b""), _failed_rows)
    yield Case("folder.py", "transcript missing", lambda place: _raw(place, transcript=None), _failed_rows)
    yield Case("folder.py", "transcript a pipe", _pipe, _failed_rows)
    yield Case("corpus.py", "no such size", lambda place: ["--out", place.folder / "c", "--train", "-1"])
    yield Case("corpus.py", "corpus of other settings", lambda place: ["--out", place.world.corpus, "--train", "5"])


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def _raw(place: Place, *more: str, transcript: bytes | None = b"gate one") -> list[str]:
    raw = place.folder / "raw"
    for name in ("a", "b"):
        put_tone(raw / f"{name}.wav", 0.8)
    (raw / "b.txt").write_text("gate two")
    if transcript is not None:
        (raw / "a.txt").write_bytes(transcript)
    out = [] if "--out" in more else ["--out", str(place.folder / "m.jsonl")]
    return [str(raw), *out, "--max-failed", "0.6", *more] if "--max-failed" not in more else [str(raw), *out, *more]


def _pipe(place: Place) -> list[str]:
    arguments = _raw(place, transcript=None)
    os.mkfifo(place.folder / "raw" / "a.txt")
    return arguments


def _failed_rows(place: Place, ended: Ended) -> str | None:
    failed = place.folder / "m.failed.jsonl"
    return COUNTED if failed.exists() and failed.read_text().strip() and "1 failed" in ended.err else None


def _corpus_cases() -> Iterator[Case]:
    lj, libri = _ljspeech, _librispeech
    yield Case("ljspeech.py", "no metadata", lambda place: [_made(place.folder / "raw"), "--out", place.folder / "m.jsonl"])
    yield Case("ljspeech.py", "metadata not UTF-8", lambda place: lj(place, b"a|\xff|x\n"))
    yield Case("ljspeech.py", "metadata empty", lambda place: lj(place, b""))
    yield Case("ljspeech.py", "a row of five fields", lambda place: lj(place, b"a|x|gate one\nb|1|2|3|4\n"), _failed_rows)
    yield Case("ljspeech.py", "a row without its wav", lambda place: lj(place, b"a|x|gate one\nc|x|gate two\n"), _failed_rows)
    yield Case("ljspeech.py", "an id twice", lambda place: lj(place, b"a|x|gate one\na|x|gate two\n"), _failed_rows)
    yield Case("ljspeech.py", "an id that leads out", lambda place: lj(place, b"a|x|gate one\n../../x|x|gate two\n"), _failed_rows)
    yield Case("ljspeech.py", "metadata a folder", lambda place: [_made(_made(place.folder / "raw") / "metadata.csv").parent, "--out", place.folder / "m.jsonl"])
    yield Case("ljspeech.py", "a byte-order mark (good)", lambda place: lj(place, "\ufeffa|x|gate one\n".encode()), _one_row)
    yield Case("librispeech.py", "no transcripts", lambda place: [_made(place.folder / "raw"), "--out", place.folder / "m.jsonl"])
    yield Case("librispeech.py", "transcripts not UTF-8", lambda place: libri(place, b"1-2-0 GATE ONE\n1-2-1 \xff\n"), _failed_rows)
    yield Case("librispeech.py", "a line without words", lambda place: libri(place, b"1-2-0 GATE ONE\n1-2-1\n"), _failed_rows)
    yield Case("librispeech.py", "a line without its flac", lambda place: libri(place, b"1-2-0 GATE ONE\n1-2-1 GATE TWO\n"), _failed_rows)
    yield Case("librispeech.py", "an unknown subset", lambda place: [*libri(place, b"1-2-0 GATE ONE\n"), "--subset", "train-filthy"])
    yield Case("librispeech.py", "a byte-order mark (good)", lambda place: libri(place, "\ufeff1-2-0 GATE ONE\n".encode()), _one_row)


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


def _one_row(place: Place, ended: Ended) -> str | None:
    return TAKEN if read_json(place.folder / "m.jsonl.meta.json")["counts"]["rows"] == 1 else None


def _checkpoint_cases() -> Iterator[Case]:
    base = str(ROOT / "recipes" / "mini" / "checkpoints" / "base")
    for name, models in {
        "one model": [f"a={base}"],
        "no model": [],
        "a name twice": [f"a={base}", f"a={base}"],
        "a name that leads out": [f"../a={base}", f"b={base}"],
        "a name that is taken": [f"recording={base}", f"b={base}"],
        "no equals sign": [base, f"b={base}"],
        "a model that is nowhere": [f"a={base}", "b=/nowhere/at/all"],
        "a model that is no model": [f"a={base}", f"b={ROOT}/recipes/mini/checkpoints/codec"],
    }.items():
        given = [part for model in models for part in ("--model", model)]
        yield Case("checkpoints.py", name, lambda place, given=given: [str(place.world.recipe), "--out", str(place.out), *given])
    yield Case("checkpoints.py", "a recipe that is nowhere", lambda place: ["/nowhere.yaml", "--out", str(place.out), "--model", f"a={base}", "--model", f"b={base}"])
    yield Case("build_pairs.py", "a manifest that is nowhere", lambda place: _pairs(place, Path("/nowhere.jsonl")))
    yield Case("build_pairs.py", "a manifest that is torn", lambda place: _pairs(place, place.file("m.jsonl", '{"id": "a')))
    yield Case("build_pairs.py", "a manifest that is a folder", lambda place: _pairs(place, place.folder))
    yield Case("build_pairs.py", "an override that is none", lambda place: [*_pairs(place, place.world.corpus / "manifest.jsonl"), "sample.k=3"])
    yield Case("build_pairs.py", "a recipe that is nowhere", lambda place: [place.file("m.jsonl"), "--recipe", "/nowhere.yaml", "--out", place.out])
    yield Case("build_pairs.py", "out in a file", lambda place: [place.world.corpus / "manifest.jsonl", "--recipe", place.world.recipe, "--out", place.file("f") / "x"])


def _pairs(place: Place, manifest: Path) -> list[str]:
    return [str(manifest), "--recipe", str(place.world.recipe), "--out", str(place.out)]


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
    yield Case("demo", "no folder", lambda place: _opening(place, lambda run: None))
    yield Case("demo", "empty folder", lambda place: _opening(_at(place, place.out.mkdir), lambda run: None))
    for name, how in torn.items():
        yield Case("demo", f"recipe.mini.json: {name}", lambda place, how=how: _opening(_changed(place, "recipe.mini.json", how), lambda run: None))
    half = lambda data: data[: len(data) // 2]  # noqa: E731
    yield Case("demo", "prompts: torn", lambda place: _opening(_changed(place, "prompts.jsonl", half), lambda run: run.voices()))
    yield Case("demo", "pairs: torn", lambda place: _opening(_changed(place, "pairs.jsonl", half), lambda run: run.pairs("aligned")))
    yield Case("demo", "pairs: an unknown candidate", lambda place: _opening(_changed(place, "pairs.jsonl", lambda data: data.replace(b"#", b"#9")), lambda run: run.sides(run.pairs("aligned")[0])))
    yield Case("demo", "pairs: an unknown prompt", lambda place: _opening(_changed(place, "pairs.jsonl", lambda data: data.replace(b'"prompt_id": "', b'"prompt_id": "z')), lambda run: run.pairs("aligned")))
    yield Case("demo", "candidates: a torn shard", lambda place: _opening(_shards(place), lambda run: run.sides(run.pairs("aligned")[0])))
    yield Case("demo", "judgements: torn", lambda place: _opening(_changed(place, "judgements/judge-wer/base.jsonl", half), lambda run: run.verdicts(run.trials("aligned")[0])))
    yield Case("demo", "voices: lost", lambda place: _opening(_voiceless(place), lambda run: run.synthesise("base", "gate one", run.voices()[0], 1.0, 1)))
    yield Case("demo", "a text with an unknown word", lambda place: _opening(_at(place, place.finished), lambda run: run.synthesise("base", "zebra", run.voices()[0], 1.0, 1)))
    yield Case("demo", "a seed below 0", lambda place: _opening(_at(place, place.finished), lambda run: run.synthesise("base", "gate one", run.voices()[0], 1.0, -1)))


def _at(place: Place, lay: Callable[[], object]) -> Place:
    lay()
    return place


def _changed(place: Place, name: str, how: Callable[[bytes], bytes | str]) -> Place:
    place.finished()
    place.change(name, how)
    return place


def _shards(place: Place) -> Place:
    place.finished()
    for shard in (place.out / "candidates").glob("*.safetensors"):
        place.change(f"candidates/{shard.name}", lambda data: data[:-9])
    return place


def _voiceless(place: Place) -> Place:
    return _changed(place, "prompts.jsonl", lambda data: data.replace(b".wav", b".gone"))


def _opening(place: Place, use: Callable[[object], object]) -> Callable[[], None]:
    def work() -> None:
        use(module("demo", "run_folder").open_run(place.out))

    return work

"""Tables, shards, side-cars and checkpoints of a run that are torn, changed, lost, or never were what they should be."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from fault_trials.doors import COUNTED, MENDED, TAKEN, Case, Place
from fault_trials.lives import ROOT, Ended
from fault_trials.world import contents
from lpo_tts.files import read_json

Spoil = Callable[[Place], object]

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

SIDE_CARS: dict[str, str] = {
    "empty": "",
    "a list": "[]",
    "an empty object": "{}",
    "null": "null",
    "torn": '{"schema": 2, "verb": "sam',
    "parts that are a list": '{"parts": []}',
    "NaN": '{"counts": NaN}',
}


def cases() -> Iterator[Case]:
    """Manifests, then what lies in a run folder, by the door that reads it."""
    for name, lines in MANIFESTS.items():
        yield Case("run", f"manifest: {name}", lambda place, lines=lines: _manifest(place, lines))
    yield Case("prompts", "manifest: empty", lambda place: _given(place, place.file("m.jsonl"), "prompts.max_failed=1"))
    yield Case("prompts", "manifest: blank lines", lambda place: _given(place, place.file("m.jsonl", "\n\n  \n")))
    yield Case("prompts", "manifest: a sentence without words", lambda place: _few(place, text="  "), _prompt_failed)
    yield Case("prompts", "manifest: a speaker of one sentence", lambda place: _few(place, speaker="lonely"), _prompt_failed)
    yield Case("run", "manifest: a word that the model does not know", lambda place: _few(place, text="zebra"), _sample_failed)
    yield Case("prompts", "manifest: a byte-order mark (good)", lambda place: _few(place, head="\ufeff"), _prompts_whole)
    yield Case("prompts", "manifest: U+2028 in a text (good)", lambda place: _few(place, text="gate\u2028one"), _prompts_whole)
    yield Case("prompts", "manifest: ids with / and # (good)", lambda place: _few(place, id="../a#b/c"), _prompts_whole)
    for name, text in SIDE_CARS.items():
        yield from _spoilt("run", f"side-car: {name}", lambda place, text=text: place.file("out/candidates.meta.json", text))
    for door, table in (("sample", "candidates"), ("pair", "pairs.jsonl"), ("train", "run"), ("evaluate", "report/report.json")):
        yield from _spoilt(door, f"side-car of {table}: deleted", lambda place, table=table: _side_car(place, table).unlink())
        yield from _spoilt(
            door, f"side-car of {table}: other seed", lambda place, table=table: _edit(_side_car(place, table), seed=99)
        )
    yield from _tables()
    yield from _shards()
    yield from _checkpoints()


def _given(place: Place, manifest: Path, *more: str) -> list[str]:
    return [str(place.world.recipe), f"out={place.out}", f"prompts.manifest={manifest}", *more]


def _manifest(place: Place, lines: bytes | str) -> list[str]:
    whole = (place.world.corpus / "manifest.jsonl").read_bytes()
    speaker = json.loads(whole.splitlines()[0])["speaker"].encode()  # so that nothing but the fault stands in the way
    shutil.copytree(place.world.corpus / "audio", place.folder / "audio", copy_function=lambda a, b: Path(b).hardlink_to(a))
    bad = (lines if isinstance(lines, bytes) else lines.encode()).replace(b'"speaker": "s"', b'"speaker": "' + speaker + b'"')
    return _given(place, place.file("m.jsonl", whole + bad), "--until", "sample")


def _few(place: Place, head: str = "", **changes: object) -> list[str]:
    """Rows of one speaker, of which one has other values; everything may fail but what there is must be counted."""
    rows = [{**ROW, "id": f"u{k}", "text": f"gate {word}"} for k, word in enumerate(("one", "two", "three", "four"))]
    rows += [{**ROW, "id": f"t{k}", "text": f"room {word}", "split": "test"} for k, word in enumerate(("one", "two"))]
    rows[0] |= changes
    audio = str(place.world.corpus / "audio" / "train-00000.wav")
    table = place.file("m.jsonl", head + "".join(json.dumps({**row, "audio": audio}, ensure_ascii=False) + "\n" for row in rows))
    limits = ["prompts.max_failed=0.9", "sample.max_failed=0.9", "sample.sampling.max_tokens=8", "workers=0"]
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
    return TAKEN if read_json(place.out / "prompts.jsonl.meta.json")["counts"] == {"rows": 6, "failed": 0, "train": 4, "test": 2} else None


def _side_car(place: Place, table: str) -> Path:
    return place.out / f"{table}.meta.json"


def _edit(path: Path, **settings: object) -> None:
    meta = read_json(path)
    meta["settings"] |= settings
    path.unlink()
    path.write_text(json.dumps(meta))


def _spoilt(door: str, name: str, spoil: Spoil, *more: str) -> Iterator[Case]:
    """A finished run with one thing wrong: refused, or made again so that all is as it was."""

    def lay(place: Place) -> list[str]:
        place.finished()
        spoil(place)
        return [str(place.world.recipe), f"out={place.out}", *more]

    yield Case(door, name, lay, _as_before)


def _as_before(place: Place, ended: Ended) -> str | None:
    """Every file of the run is what it was: the door has mended what was wrong, and said so."""
    expected, found = contents(place.world.whole), contents(place.out)
    same = all(found.get(name) == value for name, value in expected.items())
    return MENDED if same and ended.err.strip() else None


def _tables() -> Iterator[Case]:
    """Tables of a finished run."""
    half = lambda data: data[: len(data) // 2]  # noqa: E731
    twice = lambda data: data + data.splitlines(keepends=True)[0]  # noqa: E731
    for door, table in (
        ("run", "prompts.jsonl"),
        ("run", "candidates/part-00001.jsonl"),
        ("score", "scores-wer.jsonl"),
        ("pair", "pairs.jsonl"),
        ("evaluate", "judgements/judge-wer/base.jsonl"),
        ("synthesize", "synthesized/base/part-00000.jsonl"),
    ):
        yield from _spoilt(door, f"{table}: cut in half", lambda place, table=table: place.change(table, half))
        yield from _spoilt(door, f"{table}: a row twice", lambda place, table=table: place.change(table, twice))
        yield from _spoilt(door, f"{table}: lost", lambda place, table=table: (place.out / table).unlink())
        yield from _spoilt(door, f"{table}: a folder in its place", lambda place, table=table: _folder(place.out / table))
    yield from _spoilt("pair", "scores-wer.jsonl: cut, and nothing makes it again", lambda place: place.change("scores-wer.jsonl", half))
    yield from _spoilt(
        "reference", "pairs.jsonl: an unknown candidate", lambda place: place.change("pairs.jsonl", lambda d: d.replace(b"#0", b"#9"))
    )
    yield from _spoilt("run", "redo.json: torn", lambda place: place.file("out/redo.json", '{"verbs": ["sa'))
    yield from _spoilt("run", "redo.json: a list", lambda place: place.file("out/redo.json", "[1]"))
    yield from _spoilt("run", "recipe.mini.json: torn", lambda place: place.file("out/recipe.mini.json", '{"name'))
    yield from _spoilt("run", "recipe.mini.json: a list", lambda place: place.file("out/recipe.mini.json", "[]"))
    yield from _spoilt("run", "report.html: lost", lambda place: (place.out / "report" / "report.html").unlink())
    yield from _spoilt("run", "a wav: lost", lambda place: next((place.out / "synthesized" / "base" / "wavs").iterdir()).unlink())
    yield from _spoilt("run", "a wav: empty", lambda place: _empty(next((place.out / "synthesized" / "base" / "wavs").iterdir())))
    yield from _spoilt("run", "candidates: lost, the side-car is there", lambda place: shutil.rmtree(place.out / "candidates"))
    yield from _spoilt("run", "other temperature on a finished run", lambda place: None, "sample.sampling.temperature=0.7")
    yield from _spoilt("synthesize", "other number of seeds on a finished run", lambda place: None, "synthesize.num_seeds=2")
    yield from _spoilt("run", "other voice on a finished run", lambda place: None, "backbone.voice_frames=7")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _empty(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"")


def _shards() -> Iterator[Case]:
    """Tensor files of a finished run, read by the step after and by the step that makes them."""
    shard = "candidates/part-00001.safetensors"
    kinds: dict[str, Callable[[bytes], bytes]] = {
        "cut by 9 bytes": lambda data: data[:-9],
        "empty": lambda data: b"",
        "another part's": lambda data: data[::-1],
        "a header of 2^60 bytes": lambda data: (2**60).to_bytes(8, "little") + data[8:],
        "one bit changed": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        "a pickle": lambda data: b"\x80\x04cos\nsystem\n(S'touch witness'\ntR.",
    }
    for name, how in kinds.items():
        yield from _spoilt("run", f"shard: {name}", lambda place, how=how: place.change(shard, how))
        yield from _spoilt("train", f"shard: {name}", lambda place, how=how: place.change(shard, how), "--redo", "train")
    yield from _spoilt("reference", "reference.safetensors: cut", lambda place: place.change("reference.safetensors", kinds["cut by 9 bytes"]))
    yield from _spoilt("train", "reference.safetensors: cut", lambda place: place.change("reference.safetensors", kinds["empty"]), "--redo", "train")
    yield from _spoilt("synthesize", "final model: cut", lambda place: place.change("run/final/model.safetensors", kinds["cut by 9 bytes"]))
    yield from _spoilt("synthesize", "final model: lost", lambda place: shutil.rmtree(place.out / "run" / "final"))
    yield from _spoilt("run", "final model: cut", lambda place: place.change("run/final/model.safetensors", kinds["cut by 9 bytes"]))


def _checkpoints() -> Iterator[Case]:
    """A training that was interrupted after its last checkpoint, with one file of that checkpoint spoilt; and the parts' own."""
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "average.safetensors", "config.json"):
        for kind, spoil in (("lost", Path.unlink), ("torn", _tear), ("empty", _empty)):
            yield from _spoilt("train", f"checkpoint: {name} {kind}", lambda place, name=name, spoil=spoil: spoil(_interrupted(place) / name))
    yield from _spoilt("train", "checkpoint: run.json lost", lambda place: (_interrupted(place).parent / "run.json").unlink())
    yield from _spoilt("train", "checkpoint: run.json torn", lambda place: _tear(_interrupted(place).parent / "run.json"))
    yield from _spoilt("train", "checkpoint: metrics.jsonl torn", lambda place: _tear(_interrupted(place).parent / "metrics.jsonl"))
    yield from _spoilt("train", "checkpoint: other learning rate", lambda place: _interrupted(place), "train.learning_rate=1e-5")
    for key, part, name in (
        ("codec.model", "codec", "config.json"),
        ("codec.model", "codec", "model.safetensors"),
        ("backbone.model", "base", "config.json"),
        ("backbone.model", "base", "model.safetensors"),
        ("backbone.model", "base", "tokenizer.json"),
        ("score.metrics.wer.recogniser.model", "asr-train", "config.json"),
        ("score.metrics.wer.recogniser.model", "asr-train", "model.safetensors"),
        ("evaluate.judges.judge-wer.metric.recogniser.model", "asr-judge", "config.json"),
        ("score.metrics.similarity.encoder.source", "speaker-train", "hyperparams.yaml"),
        ("score.metrics.similarity.encoder.source", "speaker-train", "embedding_model.safetensors"),
    ):
        for kind, spoil in (("lost", Path.unlink), ("torn", _tear), ("empty", _empty)):
            yield Case("check", f"part: {part}/{name} {kind}", lambda place, k=key, p=part, n=name, s=spoil: _part(place, k, p, n, s))
    for tag in ("!apply:os.system", "!new:os.system", "!!python/object/apply:os.system"):
        yield Case("check", f"part: hyperparams.yaml with {tag}", lambda place, tag=tag: _part(
            place, "score.metrics.similarity.encoder.source", "speaker-train", "hyperparams.yaml",
            lambda path: _replace(path, f"{path.read_text()}\nevil: {tag} ['touch {place.folder}/witness']\n"),
        ))  # fmt: skip


def _tear(path: Path) -> None:
    _replace(path, path.read_bytes()[: path.stat().st_size // 2])


def _replace(path: Path, data: bytes | str) -> None:
    path.unlink()
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def _interrupted(place: Place) -> Path:
    """Makes the finished training one that was killed after its last checkpoint; returns that checkpoint."""
    run, side_car = place.out / "run", place.out / "run.meta.json"
    _replace(side_car, json.dumps({**read_json(side_car), "complete": False, "parts": {}, "counts": {}}))
    (place.out / "run.parts.jsonl").write_text("")
    shutil.rmtree(run / "final")
    for path in run.rglob("*"):  # the trainer may append to files that the world's own run shares
        if path.is_file():
            _replace(path, path.read_bytes())
    return max(run.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))


def _part(place: Place, key: str, part: str, name: str, spoil: Callable[[Path], object]) -> list[str]:
    folder = place.folder / part
    shutil.copytree(ROOT / "recipes" / "mini" / "checkpoints" / part, folder)
    spoil(folder / name)
    return [str(place.world.recipe), f"out={place.out}", f"{key}={folder}"]

"""A run folder with one thing wrong: a table, shard, side-car, checkpoint or part that is torn, changed or lost."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.fault_trials.doors import FAULT, MENDED, TAKEN, Case, Place
from benchmarks.fault_trials.lives import ROOT, Ended
from benchmarks.fault_trials.world import contents, first_difference
from lpo_tts.files import read_json

Spoil = Callable[[Place], object]

SIDE_CARS: dict[str, str] = {
    "empty": "",
    "a list": "[]",
    "an empty object": "{}",
    "null": "null",
    "torn": '{"schema": 2, "verb": "sam',
    "parts that are a list": '{"parts": []}',
    "NaN": '{"counts": NaN}',
}

TABLES = {  # table of a finished run -> the step that makes it
    "prompts.jsonl": "prompts",
    "candidates/part-00001.jsonl": "sample",
    "scores-wer.jsonl": "score",
    "pairs.jsonl": "pair",
    "judgements/judge-wer/base.jsonl": "evaluate",
    "synthesized/base/part-00000.jsonl": "synthesize",
}
SHARD = "candidates/part-00001.safetensors"
SHARDS: dict[str, Callable[[bytes], bytes]] = {
    "cut by 9 bytes": lambda data: data[:-9],
    "empty": lambda data: b"",
    "backwards": lambda data: data[::-1],
    "a header of 2^60 bytes": lambda data: (2**60).to_bytes(8, "little") + data[8:],
    "one bit changed": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "a pickle": lambda data: b"\x80\x04cos\nsystem\n(S'touch witness'\ntR.",
}
CHECKPOINT = (
    "model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    "average.safetensors",
    "config.json",
)
PARTS = (
    ("codec.model", "codec", ("config.json", "model.safetensors")),
    ("backbone.model", "base", ("config.json", "model.safetensors", "tokenizer.json")),
    ("score.metrics.wer.recogniser.model", "asr-train", ("config.json", "model.safetensors")),
    ("evaluate.judges.judge-wer.metric.recogniser.model", "asr-judge", ("config.json",)),
    ("score.metrics.similarity.encoder.model", "speaker-train", ("hyperparams.yaml", "embedding_model.safetensors")),
)
TAGS = ("!apply:os.system", "!new:os.system", "!!python/object/apply:os.system")


def _lose(path: Path) -> None:
    path.unlink()


def _tear(path: Path) -> None:
    replace(path, path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    replace(path, b"")


def _double(path: Path) -> None:
    data = path.read_bytes()
    replace(path, data + data.splitlines(keepends=True)[0])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


WAYS: dict[str, Callable[[Path], None]] = {"lost": _lose, "torn": _tear, "empty": _empty}


def replace(path: Path, data: bytes | str) -> None:
    """Writes a new file in the place of one that the world's own run may share."""
    path.unlink()
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def cases() -> Iterator[Case]:
    """What lies in a run folder, by the door that reads it."""
    for name, text in SIDE_CARS.items():
        yield _spoilt("run", f"side-car: {name}", partial(_put, name="candidates.meta.json", text=text))
    for table, door in (("candidates", "sample"), ("pairs.jsonl", "pair"), ("run", "train"), ("report/report.json", "evaluate")):
        yield _spoilt(door, f"side-car of {table}: deleted", partial(_in_run, name=f"{table}.meta.json", how=_lose))
        yield _spoilt(door, f"side-car of {table}: other seed", partial(_in_run, name=f"{table}.meta.json", how=_reseed))
    yield from _tables()
    yield from _shards()
    yield from _checkpoints()


def _spoilt(door: str, name: str, spoil: Spoil, *more: str) -> Case:
    """A finished run with one thing wrong: refused, or made again so that all is as it was."""

    def lay(place: Place) -> list[str]:
        place.finished()
        spoil(place)
        return [str(place.world.recipe), f"out={place.out}", *more]

    return Case(door, name, lay, _as_before)


def _as_before(place: Place, ended: Ended) -> str | None:
    """Every file of the run is what it was: the door has mended what was wrong, and said so."""
    expected, found = contents(place.world.whole), contents(place.out)
    other = [name for name, value in expected.items() if found.get(name) != value]
    if other:
        shown = first_difference(place.world.whole, place.out, other[0])
        return f"{FAULT}: exit 0, but {len(other)} files are not as before: {', '.join(other[:4])}; {shown}"
    return MENDED if ended.err.strip() else None


def _in_run(place: Place, name: str, how: Callable[[Path], object]) -> None:
    how(place.out / name)


def _put(place: Place, name: str, text: str) -> None:
    place.put(name, text)


def _reseed(path: Path) -> None:
    meta = read_json(path)
    meta["settings"]["seed"] = 99
    replace(path, json.dumps(meta))


def _tables() -> Iterator[Case]:
    """Tables of a finished run, and the files beside them."""
    for table, step in TABLES.items():
        for kind, how in {**WAYS, "a row twice": _double, "a folder in its place": _folder}.items():
            yield _spoilt("run", f"{table}: {kind}", partial(_in_run, name=table, how=how))
        yield _spoilt(step, f"{table}: torn", partial(_in_run, name=table, how=_tear))
    yield _spoilt(
        "pair", "scores-wer.jsonl: torn, and the step is another one", partial(_in_run, name="scores-wer.jsonl", how=_tear)
    )
    yield _spoilt("reference", "pairs.jsonl: an unknown candidate", _unknown_candidate)
    for name in ("redo.json", "recipe.mini.json"):
        for kind, text in (("torn", '{"verbs": ["sa'), ("a list", "[1]"), ("null", "null")):
            yield _spoilt("run", f"{name}: {kind}", partial(_put, name=name, text=text))
    for kind, how in WAYS.items():
        yield _spoilt("run", f"report.html: {kind}", partial(_in_run, name="report/report.html", how=how))
        yield _spoilt("run", f"a wav: {kind}", lambda place, how=how: how(next((place.out / "synthesized/base/wavs").iterdir())))
    yield _spoilt("run", "candidates: lost, the side-car is there", partial(_in_run, name="candidates", how=shutil.rmtree))
    for door, setting in (
        ("run", "sample.sampling.temperature=0.7"),
        ("run", "backbone.voice_frames=7"),
        ("run", "seed=1"),
        ("synthesize", "synthesize.num_seeds=2"),
        ("train", "train.learning_rate=1e-5"),
        ("evaluate", "evaluate.num_resamples=1100"),
    ):
        yield _spoilt(door, f"{setting} on a finished run", lambda place: None, setting)


def _unknown_candidate(place: Place) -> None:
    place.change("pairs.jsonl", lambda data: data.replace(b"#0", b"#9"))


def _shards() -> Iterator[Case]:
    """Tensor files of a finished run, read by the step that makes them and by the one after."""
    for kind, how in SHARDS.items():
        yield _spoilt("run", f"shard: {kind}", lambda place, how=how: place.change(SHARD, how))
        yield _spoilt("train", f"shard: {kind}", lambda place, how=how: place.change(SHARD, how), "--redo", "train")
    for door, name, more in (
        ("reference", "reference.safetensors", ()),
        ("train", "reference.safetensors", ("--redo", "train")),
        ("run", "run/final/model.safetensors", ()),
        ("synthesize", "run/final/model.safetensors", ()),
    ):
        for kind, how in WAYS.items():
            yield _spoilt(door, f"{name}: {kind}", partial(_in_run, name=name, how=how), *more)


def _checkpoints() -> Iterator[Case]:
    """A training that was interrupted after its last checkpoint, with one file of that checkpoint spoilt; and the parts' own."""
    for name in (*CHECKPOINT, "../run.json", "../metrics.jsonl"):
        for kind, spoil in WAYS.items():
            yield _spoilt("train", f"checkpoint: {name} {kind}", partial(_spoil_checkpoint, name=name, spoil=spoil))
    yield _spoilt("train", "checkpoint: other learning rate", _interrupted, "train.learning_rate=1e-5")
    for key, part, names in PARTS:
        for name in names:
            for kind, spoil in WAYS.items():
                yield Case("check", f"part: {part}/{name} {kind}", partial(_part, key=key, part=part, name=name, spoil=spoil))
    for tag in TAGS:
        yield Case("check", f"part: hyperparams.yaml with {tag}", partial(_tagged, tag=tag))
        yield Case("check", f"part: hyperparams.yaml with {tag} where nobody looks (good)", partial(_beside, tag=tag), _loads)


def _interrupted(place: Place) -> Path:
    """Makes the finished training one that was killed after its last checkpoint; returns that checkpoint."""
    run, side_car = place.out / "run", place.out / "run.meta.json"
    replace(side_car, json.dumps({**read_json(side_car), "complete": False, "parts": {}, "counts": {}}))
    (place.out / "run.parts.jsonl").write_text("")
    shutil.rmtree(run / "final")
    for path in run.rglob("*"):  # the trainer may append to files that the world's own run shares
        if path.is_file():
            replace(path, path.read_bytes())
    return max(run.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))


def _spoil_checkpoint(place: Place, name: str, spoil: Callable[[Path], object]) -> None:
    spoil(_interrupted(place) / name)


def _part(place: Place, key: str, part: str, name: str, spoil: Callable[[Path], object]) -> list[str]:
    """A codec, model, recogniser or encoder of the recipe with one file spoilt."""
    folder = place.folder / part
    shutil.copytree(ROOT / "recipes" / "mini" / "checkpoints" / part, folder)
    spoil(folder / name)
    return [str(place.world.recipe), f"out={place.out}", f"{key}={folder}"]


def _tagged(place: Place, tag: str) -> list[str]:
    """A speaker encoder whose settings would run code where a module is to be made."""
    key, part, _ = PARTS[-1]
    witness = f"{tag} ['touch {place.folder}/witness']\nunused:\n"

    def spoil(path: Path) -> None:
        replace(path, path.read_text().replace("!new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN\n", witness))

    return _part(place, key, part, "hyperparams.yaml", spoil)


def _beside(place: Place, tag: str) -> list[str]:
    """A speaker encoder with a key that nothing reads: it is data, and loads."""
    evil = f"evil: {tag} ['touch {place.folder}/witness']\n"
    key, part, _ = PARTS[-1]
    return _part(place, key, part, "hyperparams.yaml", lambda path: replace(path, f"{path.read_text()}\n{evil}"))


def _loads(place: Place, ended: Ended) -> str | None:
    return TAKEN if "score similarity: similarity loads" in ended.out else None

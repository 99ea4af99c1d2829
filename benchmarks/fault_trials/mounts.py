"""A disk that is full and a folder that is read-only, by mounts that root may make; the commands must say so in one line."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fault_trials import bad_exchange, bad_parquet
from benchmarks.fault_trials.bad_audio import put_tone
from benchmarks.fault_trials.doors import error_lines, judging
from benchmarks.fault_trials.lives import STEPS, Ended, Life
from benchmarks.fault_trials.world import World, compare, contents, main
from data_prep import build_pairs, folder, hf_dataset
from demo import run_folder
from demo.offers import offered_by_run
from demo.pair_views import Pairs
from evaluation import degrade, evaluate
from lpo_tts.files import read_json

LIMIT = 900.0  # seconds for one command
PLENTY = 1 << 30  # bytes
SHARES = (0.0, 0.3, 0.75)  # of the room that a step needs
PAGE = 4096


@dataclass
class Tally:
    """What was tried, and what was wrong."""

    lines: list[str] = field(default_factory=list)
    tried: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    skipped: str = ""


def _mount(*arguments: str) -> str | None:
    """None, or why there is no mount."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip() or f"mount: exit {done.returncode}"


@contextmanager
def mounted(at: Path, *arguments: str) -> Iterator[str | None]:
    """A mount at an empty folder, undone afterwards; yields why there is none."""
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    fault = _mount(*arguments, str(at))
    try:
        yield fault
    finally:
        if fault is None:
            subprocess.run(["umount", "-l", str(at)], check=False)


def full_disk(world: World) -> Tally:
    """Every step and two programs on a disk that fills up while they write, and once more when there is room."""
    world.finish()
    tally = Tally()
    for step in STEPS[1:]:
        for share in SHARES:
            _step_on_small_disk(world, step, share, tally)
            if tally.skipped:
                return tally
    for share in SHARES:
        _shards_on_small_disk(world, share, tally)
    for name, work in _programs(world, world.folder / "small").items():
        _program_on_small_disk(world, name, work, tally)
    return tally


def _shards_on_small_disk(world: World, share: float, tally: Tally) -> None:
    """`score` in two shards, of which one finds the disk full; with room again both are run, and the verb itself."""
    out = world.folder / "small"
    before = ["recipe.mini.json", *(name for step in STEPS[: STEPS.index("score")] for name in files_of(world, step))]
    own = files_of(world, "score")
    with mounted(out, "-t", "tmpfs", "-o", f"size={PLENTY}", "tmpfs") as fault:
        if fault is not None:
            return
        for name in before:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(world.whole / name, out / name)
        need = sum(-(-(world.whole / name).stat().st_size // PAGE) * PAGE for name in own)
        _resize(out, shutil.disk_usage(out).used + int(share * need / 2) // PAGE * PAGE)
        what = f"score --shard 0/2 with {share:.0%} of the {need / 2e6:.2f} MB that it needs"
        _note(tally, what, _run(world, world.arguments(out, "--shard", "0/2", verb="score")), "No space left on device")
        _resize(out, PLENTY)
        for more in (["--shard", "1/2"], ["--shard", "0/2"], []):
            ended = _run(world, world.arguments(out, *more, verb="score"))
            if ended.code:
                tally.faults.append(f"{what}: with room again {more} exit {ended.code}: {ended.err[-300:]}")
                return
        found = compare(world.whole, out)
        differing = [name for name in found["differ"] if name in {*before, *own}]
        missing = [name for name in found["missing"] if name in own]
        stray = [name for name in found["stray"] if not name.startswith(".lock")]  # empty, one for each shard
        if differing or missing or stray:
            tally.faults.append(f"{what}: with room again differ {differing}, missing {missing}, stray {stray}")


def _step_on_small_disk(world: World, step: str, share: float, tally: Tally) -> None:
    out = world.folder / "small"
    before = ["recipe.mini.json", *(name for earlier in STEPS[: STEPS.index(step)] for name in files_of(world, earlier))]
    own = files_of(world, step)
    with mounted(out, "-t", "tmpfs", "-o", f"size={PLENTY}", "tmpfs") as fault:
        if fault is not None:
            tally.skipped = fault
            return
        for name in before:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(world.whole / name, out / name)
        need = sum(-(-(world.whole / name).stat().st_size // PAGE) * PAGE for name in own)
        _resize(out, shutil.disk_usage(out).used + int(share * need) // PAGE * PAGE)
        what = f"{step} with {share:.0%} of the {need / 1e6:.2f} MB that it needs"
        first = _run(world, world.arguments(out, verb=step))
        _note(tally, what, first, "No space left on device")
        _resize(out, PLENTY)
        second = _run(world, world.arguments(out, verb=step))
        if second.code:
            tally.faults.append(f"{what}: with room again exit {second.code}: {second.err[-300:]}")
            return
        found = compare(world.whole, out)
        differing = [name for name in found["differ"] if name in {*before, *own}]
        missing = [name for name in found["missing"] if name in own]
        if differing or missing or found["stray"]:
            tally.faults.append(f"{what}: with room again differ {differing}, missing {missing}, stray {found['stray']}")


def files_of(world: World, step: str) -> list[str]:
    """Names of all files that a step leaves in a run folder."""
    found: set[str] = set()
    for path in world.whole.rglob("*.meta.json"):
        meta = read_json(path)
        if meta["verb"] != step:
            continue
        names = {name for part in meta["parts"].values() for name in part["files"]}
        found |= {path.relative_to(world.whole).as_posix()}
        found |= {(path.parent / name).relative_to(world.whole).as_posix() for name in names}
    if step == "train":  # checkpoints are no result, but they need room too
        found |= {one.relative_to(world.whole).as_posix() for one in (world.whole / "run").rglob("*") if one.is_file()}
    return sorted(found)


def _resize(at: Path, size: int) -> None:
    _mount("-o", f"remount,size={max(size, PAGE)}", str(at))


def _run(world: World, arguments: Sequence[str]) -> Ended:
    return Life(lambda: main(arguments), world.folder / "output" / "mounts").end(LIMIT)


def _note(tally: Tally, what: str, ended: Ended, words: str) -> None:
    """Counts a command that should have been refused with these words."""
    tally.tried += 1
    lines = error_lines(ended.err)
    if ended.code == 2 and "Traceback" not in ended.err and words in " ".join(lines) and not ended.left:
        tally.refused += 1
        tally.lines.append(f"{what}: {lines[0]}")
    else:
        tally.faults.append(f"{what}: expected exit 2 and {words!r}, found exit {ended.code}: {ended.err.strip()[-400:]}")


def _programs(world: World, out: Path) -> dict[str, Callable[[], int]]:
    """Programs beside the library that write into a folder."""
    raw = world.folder / "raw"
    put_tone(raw / "a.wav", 0.8)
    (raw / "a.txt").write_text("gate one")
    (raw / "list.jsonl").write_text('{"id": "a", "text": "gate one"}\n')
    manifest = world.corpus / "manifest.jsonl"
    base = recipe_model(world)
    models = ["--system", f"a={base}", "--system", f"b={base}", "--recipe", str(world.recipe)]
    return {
        "data_prep.folder": lambda: folder.main([str(raw), "--out", str(out / "m.jsonl")]),
        "evaluation.evaluate": lambda: evaluate.main(judging(raw, raw / "list.jsonl", out / "judged")),
        "evaluation.degrade": lambda: degrade.main(["--list", str(manifest), "--out", str(out / "copies")]),
        "evaluation.evaluate of checkpoints": lambda: evaluate.main([*models, "--out", str(out / "c")]),
        "data_prep.hf_dataset": lambda: hf_dataset.main([str(parquet_recordings(world)), "--out", str(out / "hf" / "m.jsonl")]),
        "lpo-tts export": lambda: main(world.arguments(world.whole, "--to", str(out / "set"), verb="export")),
        "lpo-tts import": lambda: main(world.arguments(out / "run", "--from", str(bad_exchange.exported(world)), verb="import")),
        "lpo-tts push": lambda: main(world.arguments(world.whole, "--to", str(out / "model"), "--licence", "mit", verb="push")),
        "data_prep.build_pairs": lambda: build_pairs.main(
            [str(world.corpus / "manifest.jsonl"), "--recipe", str(world.recipe), "--out", str(out / "p")]
        ),
    }


def parquet_recordings(world: World) -> Path:
    """A data set of recordings in Parquet."""
    good = world.folder / "parquet" / "good.parquet"
    bad_parquet.made(world, "recordings", good)
    folder = world.folder / "parquet-raw"
    folder.mkdir(exist_ok=True)
    shutil.copy(good, folder)
    return folder


def recipe_model(world: World) -> str:
    """The model folder of the world's recipe."""
    from lpo_tts import recipe

    return recipe.load(world.recipe).backbone.model


def _program_on_small_disk(world: World, name: str, work: Callable[[], int], tally: Tally) -> None:
    out = world.folder / "small"
    with mounted(out, "-t", "tmpfs", "-o", f"size={PLENTY}", "tmpfs") as fault:
        if fault is not None:
            return
        (out / "ballast").write_bytes(bytes(4 * PAGE))
        _resize(out, 4 * PAGE)
        output = world.folder / "output" / "mounts"
        _note(tally, f"{name} without room", Life(work, output).end(LIMIT), "No space left on device")
        _resize(out, PLENTY)
        second = Life(work, output).end(LIMIT)
        if second.code:
            tally.faults.append(f"{name}: with room again exit {second.code}: {second.err[-300:]}")


def read_only(world: World) -> Tally:
    """A finished run and an unfinished one where nothing can be written."""
    world.finish()
    tally = Tally()
    at, source = world.folder / "readonly", world.folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(world.whole, source)
    with mounted(at, "--bind", str(source)) as fault:
        fault = fault or _mount("-o", "remount,ro,bind", str(at))
        if fault is not None:
            tally.skipped = fault
            return tally
        before = contents(source)
        for verb in ("run", "check", *STEPS):
            _expect_nothing_to_do(tally, verb, _run(world, world.arguments(at, verb=verb)))
        for step in STEPS:
            what = f"run --redo {step} in a read-only folder"
            _note(tally, what, _run(world, world.arguments(at, "--redo", step)), "Read-only file system")
        for name, work in _programs(world, at).items():
            _note(tally, f"{name} into a read-only folder", _start(world, work), "Read-only file system")
        _note(tally, "run in a new folder below", _run(world, world.arguments(at / "new")), "Read-only file system")
        _listen(world, at, tally)
        if contents(source) != before:
            tally.faults.append("a command changed a file below a read-only mount")
    _unfinished(world, at, source, tally)
    shutil.rmtree(source, ignore_errors=True)
    return tally


def _start(world: World, work: Callable[[], int | None]) -> Ended:
    return Life(work, world.folder / "output" / "mounts").end(LIMIT)


def _expect_nothing_to_do(tally: Tally, verb: str, ended: Ended) -> None:
    tally.tried += 1
    said = "up to date" in ended.err or verb == "check"
    if ended.code == 0 and said and "Traceback" not in ended.err:
        tally.lines.append(f"{verb} on a finished read-only run: exit 0, up to date")
    else:
        tally.faults.append(f"{verb} on a finished read-only run: exit {ended.code}: {ended.err.strip()[-400:]}")


def _listen(world: World, at: Path, tally: Tally) -> None:
    """The demo reads only: it opens the run all the same."""

    def work() -> None:
        run = run_folder.open_run(at)
        pairs = Pairs(run)
        pairs.sides(pairs.of("aligned")[0])
        offered_by_run(run, None)

    tally.tried += 1
    ended = _start(world, work)
    if ended.code:
        tally.faults.append(f"the demo on a read-only run: exit {ended.code}: {ended.err.strip()[-300:]}")


def _unfinished(world: World, at: Path, source: Path, tally: Tally) -> None:
    for name in ("report/report.json.meta.json", "report/report.json", "synthesized/aligned.meta.json"):
        (source / name).unlink()
    shutil.rmtree(source / "synthesized" / "aligned")
    with mounted(at, "--bind", str(source)) as fault:
        if fault is None and _mount("-o", "remount,ro,bind", str(at)) is None:
            _note(tally, "run on an unfinished read-only run", _run(world, world.arguments(at)), "Read-only file system")

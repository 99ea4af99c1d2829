"""Engines and shards that are none: a cluster that is nowhere, a share of a GPU that no machine has, `--shard 3/2`."""

import re
from collections.abc import Iterator
from functools import partial

from benchmarks.fault_trials.doors import MENDED, Case, Place
from benchmarks.fault_trials.lives import Ended

SHARDS = ("0/0", "3/2", "2/2", "a/b", "-1/2", "1/-2", "1", "1/2/3", "0.5/2", "", " /2", "0/2000000000", "0x0/2", "0/2,1/2")
SETTINGS = {  # of `engine: {name: ray, ...}`
    "a name without a port": "address: head",
    "a port that is text": "address: 'head:first'",
    "a port beyond all": "address: '127.0.0.1:99999'",
    "an empty address": "address: ''",
    "an address that is a number": "address: 6379",
    "no workers": "workers: 0",
    "fewer workers than none": "workers: -2",
    "half a worker": "workers: 1.5",
    "a million workers": "workers: 1000000",
    "one and a half GPUs": "gpus: 1.5",
    "fewer GPUs than none": "gpus: -1",
    "a GPU that is NaN": "gpus: .nan",
    "no CPU": "cpus: 0",
    "infinite CPUs": "cpus: .inf",
    "fewer restarts than none": "max_restarts: -1",
    "patience of NaN": "patience: .nan",
    "no patience": "patience: 0",
    "an unknown key": "wokers: 2",
}
PLACES = {  # what only who connects can tell; not `auto`, which would take the cluster of somebody else on this machine
    "a machine that is nowhere": "address: 'nowhere.invalid:1'",
    "a port where nothing listens": "address: '127.0.0.1:1'",
    "a client's address where nothing listens": "address: 'ray://127.0.0.1:1'",
}


def cases() -> Iterator[Case]:
    """Settings to `check`, places to `sample`, shards to every verb that has them and to some that have not."""
    for name, text in SETTINGS.items():
        yield Case("check", f"ray: {name}", partial(_engine, text=text))
    for name, text in PLACES.items():
        yield Case("sample", f"ray: {name}", partial(_engine, text=text, more=("--redo", "sample")))
    for shard in SHARDS:
        yield Case("score", f"shard: {shard!r}", partial(_sharded, shard=shard))
    for verb in ("sample", "reference", "run", "prompts", "pair", "train", "evaluate"):
        yield Case(verb, "shard: '3/2'", partial(_sharded, shard="3/2"))
    for name, end in (("list of parts", ".parts.jsonl"), ("rows", ".partial")):
        for what, data in (("torn", b'{"name": "part-0'), ("of bytes", bytes(range(256))), ("of another run", b'{"x": 1}\n')):
            case = partial(_left, end=end, data=data)
            yield Case("score", f"shard: its {name} {what}", case, _mended)


def _engine(place: Place, text: str, more: tuple[str, ...] = ()) -> list[str]:
    if more:
        place.finished()
    return [str(place.world.recipe), f"out={place.out}", f"engine={{name: ray, {text}}}", *more]


def _sharded(place: Place, shard: str) -> list[str]:
    place.finished()
    return [str(place.world.recipe), f"out={place.out}", f"--shard={shard}"]


def _left(place: Place, end: str, data: bytes) -> list[str]:
    """What a shard of an earlier call left beside a table that is to be made again; the verb without `--shard` completes it."""
    place.finished()
    for path in list(place.out.glob("scores-wer.jsonl*")):
        path.unlink()
    place.put(f"scores-wer.jsonl.shard-0-of-2{end}", "").write_bytes(data)
    return [str(place.world.recipe), f"out={place.out}", "engine.workers=0"]


def _mended(place: Place, ended: Ended) -> str | None:
    """The table is that of the finished run, and nothing of a shard is left."""
    name = "scores-wer.jsonl"
    same = (place.out / name).read_bytes() == (place.world.whole / name).read_bytes()
    left = [path.name for path in place.out.iterdir() if re.search(r"\.shard-\d", path.name)]
    return MENDED if same and not left else None

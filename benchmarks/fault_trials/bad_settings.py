"""Recipes and overrides that are wrong: torn, circular, of the wrong type, out of range, or naming what is not there."""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.fault_trials.doors import Case, Place
from benchmarks.fault_trials.world import recipe_tree

TEXTS: dict[str, bytes | str] = {
    "empty file": "",
    "a list": "- a\n- b\n",
    "a word": "recipe\n",
    "torn in a bracket": "name: x\nbackbone: {name: flat, model: [\n",
    "tab for indentation": "name: x\nsample:\n\tnum_candidates: 4\n",
    "not UTF-8": b"name: \xff\xfe\n",
    "NUL character": b"name: a\0b\n",
    "a binary file": bytes(range(256)) * 40,
    "key that stands twice": "name: x\nname: y\n",
    "nested key that stands twice": "train: {epochs: 1}\nname: x\ntrain: {epochs: 2}\n",
    "key that is a number": "name: x\n5: y\n",
    "key that is a list": "name: x\n? [a, b]\n: y\n",
    "python object tag": "name: !!python/object/apply:os.system ['touch witness']\n",
    "apply tag": "name: !apply:os.system ['touch witness']\n",
    "brackets 20,000 deep": "name: " + "[" * 20000,
    "aliases that multiply": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + k)}: &{chr(98 + k)} [{', '.join(['*' + chr(97 + k)] * 9)}]\n" for k in range(9)),
    "alias to itself": "name: &a [*a]\n",
    "no section at all": "name: x\n",
    "two documents": "name: x\n---\nname: y\n",
    "a date for a name": "name: 2024-01-01\nout: x\n",
    "extends nothing": "extends: nowhere.yaml\nname: x\n",
    "extends itself": "extends: recipe.yaml\nname: x\n",
    "extends a number": "extends: 5\nname: x\n",
    "extends a folder": "extends: .\nname: x\n",
}

OVERRIDES = (
    "train.learning_rate=.nan",
    "train.learning_rate=inf",
    "train.learning_rate=-1e-4",
    "train.learning_rate=fast",
    "train.batch_size=0",
    "train.batch_size=2.5",
    "train.batch_size=true",
    "train.micro_batch_size=3",
    "train.epochs=0",
    "train.precision=fp8",
    "train.attention=flash9",
    "train.loss=null",
    "train.loss.name=no-such-loss",
    "train.loss.beta=.inf",
    "train.loss={name: dpo, gamma: 1}",
    "train.best_metric=loss",
    "train.average_from=1.0",
    "train.threads=0",
    "train=null",
    "train.nonsense=1",
    "trian.epochs=1",
    "pair.rules=[]",
    "pair.rules=[{rule: {name: best_worst, metric: mos}}]",
    "pair.rules=[{rule: {name: worst_worst}}]",
    "pair.rules=5",
    "pair.dev_share=0.9",
    "sample.num_candidates=0",
    "sample.num_candidates=1",
    "sample.sampling.temperature=-1",
    "sample.sampling.temperature=.nan",
    "sample.sampling.top_p=0",
    "sample.sampling.top_p=1.5",
    "sample.sampling.top_k=-1",
    "sample.sampling.max_tokens=0",
    "sample.sampling.block_size=0",
    "sample.sampling.decoder=slow",
    "sample.splits=[trian]",
    "sample.max_failed=2",
    "score.metrics={'../x': {name: duration}}",
    "score.metrics.wer.name=nonsense",
    "score.metrics.wer.recogniser.model=nowhere/at/all",
    "score.metrics.similarity.encoder.model=nowhere/at/all",
    "score.max_unscorable=-0.1",
    "synthesize.split=tset",
    "synthesize.num_seeds=0",
    "evaluate.average=mean",
    "evaluate.folder=../elsewhere",
    "evaluate.folder=/elsewhere",
    "evaluate.num_resamples=0",
    "evaluate.judges.judge-wer.kind=quality",
    "evaluate.judges.judge-wer.max_candidates=3",
    "evaluate.judges.judge-wer.metric.recogniser.model=nowhere",
    "seed=-1",
    "seed=4294967296",
    "seed=1.5",
    "device=foo",
    "device=cuda:99",
    "device=",
    "engine.workers=-1",
    "engine.workers=99999999",
    "rounds=0",
    "rounds=99999999",
    "name=a/b",
    "name=..",
    "variants={x: 5}",
    "variants=[1]",
    "variants={'a/b': {}}",
    "variants={base: {}}",
    "variants={x: {sample: {num_candidates: 9}}}",
    "backbone.model=nowhere/at/all",
    "backbone.template=no slots for anything",
    "backbone.slots=[]",
    'backbone.slots=[{first: "<|no_such_token|>", size: 1024}]',
    'backbone.slots=[{first: "<|code_0|>", size: 512}]',
    'backbone.end=["<|no_such_token|>"]',
    "backbone.voice_frames=-1",
    "backbone.name=no_such_module:Backbone",
    "codec.name=os:system",
    "codec.name=json:JSONDecoder",
    "codec.model=nowhere",
    "codec.model=.",
    "prompts.manifest=nowhere.jsonl",
    "prompts.manifest=.",
    "prompts.manifest=",
    "prompts.train=0",
    "prompts.voice=any",
    "prompts=null",
    "no equals sign",
    "=5",
    "a..b=1",
    "seed=[",
    "seed={a: 1, a: 2}",
    f"out={'x' * 300}",
    "out=/dev/null/run",
    "out=/proc/run",
    "out=",
    "out=null",
    "out=\udcff",
    "recipe.yaml",
)


WHOLE: dict[str, object] = {  # a section as a whole: an override lays a mapping over the one that is there
    "sample": [1],
    "score": {"metrics": {}},
    "evaluate": {"judges": {}},
    "backbone": "flat",
    "codec": {"model": "x"},
    "prompts": {},
    "variants": {"x": {"train": 5}},
}


def cases() -> Iterator[Case]:
    """Recipe files, overrides, and command lines."""
    yield Case("check", "recipe: missing file", lambda place: [place.folder / "no.yaml"])
    yield Case("check", "recipe: a folder", lambda place: [place.folder])
    yield Case("run", "recipe: a link to itself", _looping)
    for name, text in TEXTS.items():
        yield Case("check", f"recipe: {name}", lambda place, text=text: [place.file("recipe.yaml", text)])
    yield Case("check", "recipe: two that extend each other", _circle)
    for section, changes in WHOLE.items():
        yield Case("check", f"recipe: {section} is {changes}", lambda place, s=section, c=changes: _section(place, s, c))
    for number, override in enumerate(OVERRIDES):
        door = "run" if number % 3 == 0 or override.startswith("out=") else "check"
        yield Case(door, f"override: {override[:60]!a}", lambda place, one=override: _with(place, one))
    yield Case("run", "command line: unknown step for --until", lambda place: [place.world.recipe, "--until", "trane"])
    yield Case("run", "command line: unknown option", lambda place: [place.world.recipe, "--frobnicate"])
    yield Case("no-such-verb", "command line: unknown verb", lambda place: [place.world.recipe])
    yield Case("list", "command line: unknown family", lambda place: ["recognizers"])
    yield Case("r2", "command line: no batches", lambda place: [*_with(place, "seed=0"), "--batches", "0"])
    yield Case("r2", "a run folder without pairs", lambda place: _with(place, "seed=0"))
    yield Case("run", "variants and rounds together", lambda place: [*_with(place, "rounds=2"), "variants={x: {}}"])
    yield Case("check", "a judge that ranked the pairs", _ranking_judge)
    yield Case("run", "sampling of another model's length", lambda place: _with(place, "sample.sampling.max_tokens=1000000"))


def _with(place: Place, override: str) -> list[str]:
    out = [] if override.startswith("out=") else [f"out={place.out}"]
    return [str(place.world.recipe), *out, override, *(["--until", "prompts"] if override.startswith("out=") else [])]


def _looping(place: Place) -> list[Path]:
    path = place.folder / "recipe.yaml"
    path.symlink_to(path)
    return [path]


def _circle(place: Place) -> list[Path]:
    place.file("other.yaml", "extends: recipe.yaml\n")
    return [place.file("recipe.yaml", "extends: other.yaml\nname: x\n")]


def _section(place: Place, section: str, value: object) -> list[Path]:
    return [place.file("recipe.yaml", yaml.safe_dump({**recipe_tree(place.world), section: value}))]


def _ranking_judge(place: Place) -> list[str]:
    metric = json.dumps(recipe_tree(place.world)["score"]["metrics"]["wer"])
    return _with(place, f"evaluate.judges.judge-wer.metric={metric}")

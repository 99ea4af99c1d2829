"""check: what can be found before work starts: settings that do not go together, files and parts that are not there or do
not load.
"""

import gc
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from lpo_tts import artefacts, hf, places
from lpo_tts.backbones.base import Backbone, TokenMap
from lpo_tts.backbones.templates import takes_voice
from lpo_tts.codecs.base import Codec, LoadedCodec
from lpo_tts.comparers.base import Comparer
from lpo_tts.errors import ConfigError, LpoTtsError
from lpo_tts.fingerprints import SOURCES
from lpo_tts.lm.base import SpeechLM
from lpo_tts.metrics.base import Metric, scale_of
from lpo_tts.records import Prompt, Utterance
from lpo_tts.steps import STEPS, VERBS, token_weights
from lpo_tts.steps.others import check_same_tokens
from lpo_tts.steps.parts import Part, absent, member_of, outlook
from lpo_tts.steps.redo import Redo
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.trained_judges import check_judges, predictors
from lpo_tts.trackers.names import ready
from lpo_tts.training.processes import launched
from lpo_tts.training.scoring import check_distributions

if TYPE_CHECKING:
    from lpo_tts.recipe import Recipe

MODEL_STEPS = ("sample", "reference", "train", "synthesize")
CODEC_STEPS = ("sample", "score", "synthesize")
# Names of parts; those of metrics are `score NAME` and `judge NAME (ROLE)`.
CODEC, BACKBONE, OTHER = "codec", "backbone", "sample.others."


def plans(run: Run) -> list[Plan]:
    """Nothing is made."""
    return []


def execute(run: Run) -> None:
    """Tells a line for each part that is in order; raises ConfigError naming everything that would stop a step.

    Before parts are loaded it tells what of them is not on this machine, and what is expected of it.
    """
    run.tell(f"recipe {run.recipe.name}: settings are valid")
    for line in (*_about(run.recipe), *_weighed(run), *outlook(list(_parts(run, STEPS)), run.structurer.families)):
        run.tell(line)
    redo = Redo(run.out)
    rounds = [replace(run, recipe=one, redo=redo) for one in run.recipe.in_rounds()]
    device = run.device
    found = [*problems(run, STEPS, STEPS), *changed(rounds, STEPS), *broken_parts(run, STEPS, run.tell)]
    warnings = [*unpinned(run), *unheard(run.recipe), *predictors(run.recipe), *slow_precision(run.recipe, device)]
    for line in (*warnings, *unsent(run.recipe)):
        run.tell(f"warning: {line}")
    if found:
        raise ConfigError("\n".join(dict.fromkeys(found)))


def _about(recipe: "Recipe") -> Iterator[str]:
    """What the recipe says of itself that decides whether it can be used here."""
    about = recipe.about
    pieces = {
        "model": about.caption,
        "licence": about.licence,
        "GPU to sample": about.gpu_sampling,
        "GPU to train": about.gpu_training,
        "verified": " ".join(about.verified.split()),
    }
    yield from (f"  {name}: {text}" for name, text in pieces.items() if text)


def _weighed(run: Run) -> Iterator[str]:
    """What will be made of token weights, and who reads them."""
    for name, system in run.recipe.systems.items():
        path = token_weights.table_path(system)
        if path is None:
            continue
        source = "your table" if system.pair.weights is None else f"made by pair from score {system.pair.weights.metric}"
        yield (
            f"  token weights of {name}: {run.show(path)}, {source}; {type(system.train.loss).__name__} reads them as "
            f"{token_weights.kind_of(system.train.loss)}"
        )


def changed(rounds: Sequence[Run], steps: Sequence[str]) -> list[str]:
    """Artefacts of these steps that exist and were made with other settings."""
    return [
        problem for run in rounds for problem in run.check_plans(plan for step in steps for plan in VERBS[step].load().plans(run))
    ]


def problems(run: Run, steps: Sequence[str], todo: Sequence[str]) -> list[str]:
    """Everything in a recipe and its files that would stop one of these steps; nothing is loaded.

    Args:
        run: what is to be done, and where.
        steps: verbs that are asked for; their settings must go together.
        todo: those of them that have work to do; their files are looked at.
    """
    found: list[str] = []
    for one in (_judges, _pairs, _weights, _evaluation):
        try:
            one(run.recipe, steps)
        except ConfigError as error:
            found.append(str(error))
    return found + recordings(run, todo)


def _judges(recipe: "Recipe", steps: Sequence[str]) -> None:
    check_judges(recipe)


def _pairs(recipe: "Recipe", steps: Sequence[str]) -> None:
    if "score" in steps and not recipe.score.metrics and not recipe.score.comparisons:
        raise ConfigError("score.metrics: expected at least one metric that ranks the candidates, found none")
    if "pair" not in steps:
        return
    for name, system in recipe.systems.items():
        try:
            system.pair.check(recipe.directions)
            system.pair.check_sources(recipe.score.comparisons)
        except ConfigError as error:
            raise ConfigError(f"{error}" if len(recipe.systems) == 1 else f"variants.{name}: {error}") from error
        if system.train.segments and not getattr(system.train.loss, "takes_weights", True):
            raise ConfigError(
                f"train.segments: {type(system.train.loss).__name__} counts on the places of tokens and takes no weights "
                "per token; leave segments out, or choose another loss"
            )
        if getattr(system.train.loss, "data", "pair") == "list" and system.train.list_metric not in recipe.directions:
            raise ConfigError(
                f"train.list_metric: {system.train.list_metric!r} is not scored by this recipe; `score.metrics` has: "
                f"{', '.join(recipe.directions)}"
            )
        if recipe.sample.total < 2 and not system.pair.needs_targets:
            raise ConfigError("sample.num_candidates: a pair needs two candidates of a prompt, found 1; sample more")


def _weights(recipe: "Recipe", steps: Sequence[str]) -> None:
    if not {"pair", "reference", "train"}.isdisjoint(steps):
        for name, system in recipe.systems.items():
            try:
                token_weights.check(system, recipe.score.metrics)
            except ConfigError as error:
                raise ConfigError(f"{error}" if len(recipe.systems) == 1 else f"variants.{name}: {error}") from error


def _evaluation(recipe: "Recipe", steps: Sequence[str]) -> None:
    if "evaluate" in steps and not any(scale_of(judge.metric).is_ratio for judge in recipe.evaluate.judges.values()):
        raise ConfigError(
            "evaluate.judges: expected at least one judge whose metric is a ratio, such as wer, which gives the headline; "
            "found none"
        )


def recordings(run: Run, steps: Sequence[str]) -> list[str]:
    """Faults of the manifest, or of the prompts where they are made already: no row of a split, recordings that are not there."""
    recipe = run.recipe
    manifest = recipe.prompts.manifest
    if _imported(run):
        steps = [step for step in steps if step != "prompts"]
    if "prompts" in steps and not manifest.exists():
        return [
            f"prompts.manifest: cannot read {manifest}: no such file; make it by a program of data_prep, such as "
            f"`python -m data_prep.folder RECORDINGS --out {manifest}`, or write a line for each recording"
        ]
    try:
        if "prompts" in steps:
            rows = recipe.prompts.with_splits(artefacts.read_rows(recipe.prompts.manifest, Utterance))
            where, folder, files = recipe.prompts.manifest, recipe.prompts.manifest.parent, [row.audio for row in rows]
            tests = recipe.prompts.read_test_prompts()
            if tests:
                rows = [row for row in rows if row.split != "test"]
                files = [row.audio for row in rows] + _heard(tests, recipe)
            splits = Counter([*(row.split or "train" for row in rows), *(one.split for one in tests)])
            limits = {split: getattr(recipe.prompts, split) for split in ("train", "dev", "test")}
            splits = Counter({split: count for split, count in splits.items() if limits[split] != 0})
        elif run.prompts_path.exists():
            where, folder = run.prompts_path, run.out
            prompts = artefacts.read_rows(where, Prompt)
            files = _heard(prompts, recipe)
            splits = Counter(prompt.split for prompt in prompts)
        else:
            return []
    except LpoTtsError as error:
        text = str(error)
        return [f"prompts.manifest: {text}" if "prompts" in steps and not text.startswith("prompts.") else text]
    found = []
    if "prompts" in steps:
        try:
            _check_prompts(recipe, splits)
        except LpoTtsError as error:
            found.append(str(error))
    for step, key, wanted in (
        ("sample", "sample.splits", recipe.sample.splits),
        ("synthesize", "synthesize.split", (recipe.synthesize.split,)),
    ):
        if step in steps and not any(splits[split] for split in wanted):
            there = ", ".join(f"{count} {split}" for split, count in splits.items()) or "none"
            found.append(
                f"{key}: {where} has no row of split {' or '.join(wanted)} (it has: {there}); see `prompts` in the recipe"
            )
    if not {"sample", "synthesize", "evaluate"}.isdisjoint(steps):
        absent = [name for name in files if not places.may_exist(folder / name)]
        if absent and len(absent) > recipe.sample.max_failed * len(files):
            found.append(
                f"{where}: {len(absent)} of {len(files)} recordings are not there, first: {folder / absent[0]}; more than "
                f"sample.max_failed allows"
            )
    return found


def _heard(prompts: Sequence[Prompt], recipe: "Recipe") -> list[str]:
    """Recordings of prompts that are read: voices, and as many of the judged texts' own as tell the judges' own error."""
    judged = [one.target.audio for one in prompts if one.target is not None and one.split == recipe.synthesize.split]
    return [one.voice.audio for one in prompts if one.voice is not None] + judged[: recipe.synthesize.floor_prompts]


def _imported(run: Run) -> bool:
    """Whether the prompts came in by `lpo-tts import`, so that there need not be a manifest."""
    meta = run.prompts_path.with_name(f"{run.prompts_path.name}.meta.json")
    return meta.exists() and bool(artefacts.read_object(meta).get("imported"))


def _check_prompts(recipe: "Recipe", splits: Mapping[Any, int]) -> None:
    """Raises ConfigError or ArtefactError where hard prompts cannot be made, or rounds use the corpus up."""
    if recipe.prompts.hard is not None:
        recipe.prompts.hard.table()
    for one in recipe.in_rounds():
        one.prompts.takes("train", splits.get("train", 0))


def broken_parts(run: Run, steps: Sequence[str], tell: Callable[[str], None] = lambda line: None) -> list[str]:
    """Loads every part that these steps need, one after the other; returns what is wrong with those that do not load.

    A training needs its trackers, whose libraries are imported.

    Args:
        run: gives the parts and the device.
        steps: verbs that have work to do.
        tell: takes a line for each part that loads.
    """
    # With worker processes nothing may touch the GPU here: a process with a CUDA context cannot be forked.
    device = run.device if run.engine.in_process else "cpu"
    found: list[str] = []
    there: list[Part] = []
    for part in _parts(run, steps):
        fault = absent(part, run.structurer.families)
        found += [] if fault is None else [fault]
        there += [part] if fault is None else []
    codec = lm = None
    if any(part.where == CODEC for part in there):
        codec = _load(CODEC, lambda: run.codec.load(device), found)
        if codec is not None:
            tell(f"codec: {codec.sample_rate} Hz, {codec.frame_rate:g} frames/s, codebooks {codec.codebook_sizes}")
    if any(part.where == BACKBONE for part in there):
        lm = _load(BACKBONE, lambda: run.backbone.load(device), found)
    if lm is not None:
        size = sum(parameter.numel() for parameter in lm.module.parameters()) / 1e6
        fits = codec is None or _fits(run.backbone.token_map(), codec, found)
        if fits:
            tell(f"backbone: {run.backbone.model}, {size:.2f} M parameters{'' if codec is None else ', fits the codec'}")
        found += _unfit(run, steps, lm)
    own_is_there = lm is not None
    lm = codec = None
    for part in there:
        if part.where in (CODEC, BACKBONE):
            continue
        gc.collect()
        if part.where.startswith(OTHER):
            if own_is_there and _other(run, part, device, found):
                tell(f"{part.where}: {part.settings.model}, the tokens of the backbone")
            continue
        if _load(part.where, lambda part=part: part.settings.load(device), found) is not None:
            tell(f"{part.where}: {member_of(part.settings, run.structurer.families).name} loads")
    if "train" in steps and launched()[0] == 0:  # the first process alone sends
        names = dict.fromkeys(name for system in run.recipe.systems.values() for name in system.train.trackers)
        for name in names:
            if _load("train.trackers", lambda name=name: ready(name), found) is not None:
                tell(f"train.trackers: {name} loads")
    return found


def unsent(recipe: "Recipe") -> list[str]:
    """Warnings of trackers that an evaluation cannot use; it writes its report without them."""
    found: list[str] = []
    for name in recipe.evaluate.trackers:
        _load("evaluate.trackers", lambda name=name: ready(name), found)
    return [f"{line}; the report would be written, but not sent" for line in found]


def _other(run: Run, part: Part, device: str, found: list[str]) -> bool:
    """Loads another model that samples, and compares its tokens with those of the recipe's own."""
    try:
        part.settings.load(device)
        check_same_tokens(run.backbone.token_map(), part.settings.token_map(), part.where.removeprefix(OTHER))
    except LpoTtsError as error:
        text = str(error)
        found.append(text if text.startswith(OTHER) else f"{part.where}: {text}")
        return False
    return True


def _parts(run: Run, steps: Sequence[str]) -> Iterator[Part]:
    """What these steps load, in the order of loading."""
    pairing = [system.pair for system in run.recipe.systems.values()] if "pair" in steps else []
    timed = any(one.needs_durations or one.weights is not None for one in pairing)
    if timed or any(step in CODEC_STEPS for step in steps):
        yield Part(CODEC, run.codec)
    if any(step in MODEL_STEPS for step in steps):
        yield Part(BACKBONE, run.backbone)
    if "sample" in steps:
        for name, other in run.recipe.sample.others.items():
            yield Part(f"{OTHER}{name}", other.backbone(run.backbone, name))
    yield from (Part(name, metric) for name, metric in _metrics(run.recipe, steps))
    if "score" in steps:
        yield from (Part(f"compare {name}", one.comparer) for name, one in run.recipe.score.comparisons.items())


def _fits(token_map: TokenMap, codec: LoadedCodec, found: list[str]) -> bool:
    try:
        token_map.check(codec)
    except LpoTtsError as error:
        found.append(f"backbone: {error}")
        return False
    return True


def _unfit(run: Run, steps: Sequence[str], lm: SpeechLM) -> Iterator[str]:
    """What the model cannot give: to the samplers, and to the losses."""
    recipe = run.recipe
    samplers = {"sample": recipe.sample.sampling, "synthesize": recipe.synthesize.sampling}
    asked = [(f"{step}.sampling", getattr(one, "check", None)) for step, one in samplers.items() if step in steps]
    checks: list[tuple[str, Callable[[], None]]] = [
        (where, lambda check=check: check(run.backbone)) for where, check in asked if check is not None
    ]
    if "train" in steps:
        for name, system in recipe.systems.items():
            where = "train.loss" if len(recipe.systems) == 1 else f"variants.{name}.train.loss"
            checks.append((where, lambda loss=system.train.loss: check_distributions(lm, loss)))
    for where, check in checks:
        try:
            check()
        except LpoTtsError as error:
            yield f"{where}: {error}"


def _metrics(recipe: "Recipe", steps: Sequence[str]) -> Iterator[tuple[str, Metric]]:
    if "score" in steps:
        yield from ((f"score {name}", metric) for name, metric in recipe.score.metrics.items())
    if "evaluate" in steps:
        yield from ((f"judge {name} ({judge.role})", judge.metric) for name, judge in recipe.evaluate.judges.items())


def _load(name: str, load: Callable[[], Any], found: list[str]) -> Any:
    try:
        return load()
    except LpoTtsError as error:
        found.append(f"{name}: {error}")
        return None


def slow_precision(recipe: "Recipe", device: str) -> list[str]:
    """A warning where the training asks for bfloat16 and this CPU has no arithmetic for it, and so emulates it."""
    asks = [name for name, system in recipe.systems.items() if system.train.precision == "bf16"]
    if not asks or device != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return []
    if platform.machine() not in ("x86_64", "AMD64"):  # what other processors can do, these questions do not tell
        return []
    return [
        "train.precision is bf16, but this CPU has no arithmetic for it (AVX-512 BF16 or AMX) and works many times slower; "
        "train.precision=fp32 gives the same results but for rounding"
    ]


def unheard(recipe: "Recipe") -> list[str]:
    """A warning where prompts have recordings of a voice, and the model's prompt has no place for one."""
    if recipe.prompts.voice == "none" or takes_voice(recipe.backbone):
        return []
    return [
        f"prompts.voice is {recipe.prompts.voice}, but backbone.template has no {{voice}}: the model does not hear the "
        "recordings; `prompts.voice: none` says so"
    ]


def unpinned(run: Run) -> list[str]:
    """Settings that name a part on a hub without a revision: what they load may change from one day to the next."""
    judges = run.recipe.evaluate.judges
    members = {
        "backbone": run.plain(run.backbone, Backbone),
        "codec": run.plain(run.codec, Codec),
        "sample.others": run.plain(run.recipe.sample.others),
        "score.metrics": {name: run.plain(one, Metric) for name, one in run.recipe.score.metrics.items()},
        "score.comparisons": {name: run.plain(one.comparer, Comparer) for name, one in run.recipe.score.comparisons.items()},
        "evaluate.judges": {name: run.plain(one.metric, Metric) for name, one in judges.items()},
    }
    return [
        f"{where}: {source!r} has no revision: what it loads may change; pin it with `revision: <commit>`"
        for where, source in _unpinned(members, "")
    ]


def _unpinned(tree: Any, where: str) -> Iterator[tuple[str, str]]:
    if not isinstance(tree, Mapping):
        return
    for key, value in tree.items():
        place = f"{where}.{key}" if where else key
        if isinstance(value, Mapping):
            yield from _unpinned(value, place)
        elif key in SOURCES and isinstance(value, str) and tree.get("revision", "") is None and hf.may_be_hub_id(value):
            yield place, value

"""What an evaluation is asked for, put together before anything is judged: recipe, prompts, and where the speech lies."""

import argparse
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from evaluation.extent import Extent, extent_of
from evaluation.judges import make_judges, member_of, read_settings, settings_of, with_margins
from evaluation.options import PROTOCOLS, SystemSpec, systems_of
from evaluation.suite_files import Suite
from lpo_tts import hf, recipe
from lpo_tts.artefacts import file_hash
from lpo_tts.backbones.base import Backbone
from lpo_tts.codecs.base import Codec
from lpo_tts.comparison.wording import listed
from lpo_tts.config import override
from lpo_tts.engines.local import Local
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.prompting.lists import check_recordings, load_list
from lpo_tts.records import Prompt
from lpo_tts.steps.audio_folder import AudioFolder
from lpo_tts.steps.judges import EvaluateSettings
from lpo_tts.steps.prompts import PromptsSettings
from lpo_tts.steps.reporting import Frame
from lpo_tts.steps.synthesize import SynthesizeSettings
from lpo_tts.text import describe

NO_ENDS = "A folder of audio does not tell whether a candidate ended."
AVERAGES = {  # what stands on the page of a list of one's own where the judges' settings name another average than "corpus"
    "utterance": "Mean of utterance WERs, in which every text weighs alike; missing audio counted as all words deleted.",
    "corpus_evaluated": "Corpus WER (errors / words); missing audio is left out, so failing costs nothing.",
    "utterance_evaluated": (
        "Mean of utterance WERs, in which every text weighs alike; missing audio is left out, so failing costs nothing."
    ),
}
CHECKPOINT = ("config.json", "adapter_config.json")  # one of these tells a folder with a model from a folder of audio


@dataclass(frozen=True, kw_only=True)
class Request:
    """An evaluation, before anything is done for it.

    Attributes:
        recipe: who judges and how that is reported; and where there are checkpoints, how they speak.
        systems: name and source, the baseline first.
        folders: those of them that are folders of audio.
        prompts: what is said, with paths relative to the working folder; None: the recipe's own held-out prompts.
        frame: of the report.
        extent: what the suite's protocol asks for; None: there is no suite.
        titled: whether the title of the frame is the user's own.
    """

    recipe: recipe.Recipe
    systems: Sequence[SystemSpec]
    folders: Mapping[str, AudioFolder]
    prompts: Sequence[Prompt] | None
    frame: Frame
    extent: Extent | None = None
    titled: bool = False

    @property
    def checkpoints(self) -> dict[str, str]:
        """The other systems, which are to speak."""
        return {one.name: one.source for one in self.systems if one.name not in self.folders}


@dataclass(frozen=True)
class Asked:
    """What is said, who judges it, and what that is called.

    Attributes:
        prompts: in order; None: the recipe's.
        settings: judges and report, before options of the command line; None: the recipe's, or none.
        protocol: name of the rules by which figures are made.
        inputs: files by name, for the provenance.
        note: what is to be known of the numbers.
        suite: whose prompts they are; None: of none.
        whole: prompts of the suite, be they asked for or not.
    """

    prompts: Sequence[Prompt] | None
    settings: EvaluateSettings | None
    protocol: str
    inputs: Mapping[str, str]
    note: str
    suite: Suite | None = None
    whole: int = 0


def make_request(options: argparse.Namespace) -> Request:
    """Reads lists, recipe and judges, and looks for the sources of the systems.

    Raises:
        ConfigError: for what is asked for wrongly.
        ArtefactError: for files that cannot be read, and for lists that name recordings which are not there.
    """
    systems = systems_of(options.system, options.baseline)
    asked = _asked(options)
    made = _recipe(options, asked)
    of_audio = [one for one in systems if _is_audio(one, options.recipe is not None)]
    folders = {one.name: AudioFolder(Path(one.source), "--system") for one in of_audio}
    for one in systems:
        if one.name not in folders and not os.path.isdir(one.source) and not hf.may_be_hub_id(one.source):
            raise ArtefactError(
                f"--system {one.name}: expected a folder, or the name of a model on the hub, found {one.source!r}"
            )
    suite = asked.suite
    return Request(
        recipe=made,
        systems=systems,
        folders=folders,
        prompts=asked.prompts,
        frame=_frame(options, made, systems, folders, asked),
        extent=None if suite is None else extent_of(suite, asked.whole, made.evaluate, options.protocol),
        titled=options.title is not None,
    )


def _asked(options: argparse.Namespace) -> Asked:
    language = options.language or "en"
    settings = None if options.judges is None else read_settings(options.judges)
    protocol = options.protocol or "strict"
    if options.suite is not None:
        return _of_suite(options, settings)
    if options.list is None:
        return Asked(None, settings, protocol, {}, PROTOCOLS[protocol])
    prompts = load_list(options.list, language, split="test")[: options.num_prompts]
    check_recordings(options.list, prompts)
    inputs = {"list": f"{options.list} (sha256 {file_hash(options.list)})"}
    return Asked(prompts, settings, protocol, inputs, PROTOCOLS[protocol])


def _of_suite(options: argparse.Namespace, settings: EvaluateSettings | None) -> Asked:
    from evaluation import suites

    suite = suites.load(options.suite)
    every = suite.read()
    prompts = every[: options.num_prompts]
    check_recordings(suite.prompts, prompts)
    inputs = {"suite": f"{suite.name}/{suite.mode}", "list": f"{suite.prompts} (sha256 {file_hash(suite.prompts)})"}
    own = suite.evaluate if settings is None else settings
    note = suite.note if options.protocol is None else PROTOCOLS[options.protocol]
    return Asked(prompts, own, options.protocol or f"{suite.name}/{suite.mode}", inputs, note, suite, len(every))


def _recipe(options: argparse.Namespace, asked: Asked) -> recipe.Recipe:
    """The recipe of the evaluation: that of --recipe, or one without a model, with the judges that are asked for."""
    out = json.dumps(str(options.out), ensure_ascii=False)  # quoted: a folder called 2024 is no number
    if options.recipe is not None:
        over = [one for one in options.overrides if asked.settings is None or not one.startswith("evaluate.")]
        made = recipe.load(options.recipe, [*over, f"out={out}"])
        speaking = made.synthesize
    else:
        nothing: Any = None
        codec = nothing if options.codec is None else member_of(options.codec, "--codec", Codec)[1]
        speaking = SynthesizeSettings(floor_prompts=100, max_failed=1.0)
        made = recipe.Recipe(
            name="evaluation",
            out=options.out,
            backbone=cast("Backbone", nothing),  # nobody speaks
            codec=codec,
            prompts=PromptsSettings(manifest=options.out / "prompts.jsonl"),
        )
    if asked.suite is not None and not any(one.startswith("synthesize.num_seeds=") for one in options.overrides):
        speaking = dataclasses.replace(speaking, num_seeds=asked.suite.num_seeds)
    settings = asked.settings or made.evaluate
    own = [one for one in options.overrides if one.startswith("evaluate.")]
    if own and (options.recipe is None or asked.settings is not None):
        tree: dict[str, Any] = {"evaluate": recipe.STRUCTURER.unstructure(settings)}
        for one in own:
            tree = override(tree, one)
        settings = settings_of(tree, "command line")
    if options.floor_prompts is not None:
        speaking = dataclasses.replace(speaking, floor_prompts=options.floor_prompts)
    if asked.prompts is not None:
        speaking = dataclasses.replace(speaking, split="test", num_prompts=None)
    elif options.num_prompts is not None:
        speaking = dataclasses.replace(speaking, num_prompts=options.num_prompts)
    changes: dict[str, Any] = {"evaluate": _settings(options, settings, asked.protocol), "synthesize": speaking}
    if options.device is not None:
        changes["device"] = options.device
    if options.workers is not None:
        changes["engine"] = Local(workers=options.workers)
    return dataclasses.replace(made, **changes)


def _settings(options: argparse.Namespace, settings: EvaluateSettings, protocol: str) -> EvaluateSettings:
    """Judges and report, with what the command line says over them."""
    more = make_judges(
        options.asr,
        options.speaker,
        options.training_asr,
        options.metric,
        normaliser="seed-tts" if protocol == "seed-tts-eval" else options.normaliser or "basic",
        batch_size=options.batch_size,
        held_out=options.held_out,
        copies=options.codec is not None,
    )
    twice = sorted(set(more) & set(settings.judges))
    if twice:
        raise ConfigError(f"two judges are called {twice[0]!r}: give that of the command line a label of its own")
    judges = with_margins({**settings.judges, **more}, options.margin)
    if not judges:
        raise ConfigError("nobody is to judge: give at least one --asr, --speaker or --metric, or --judges FILE")
    changes: dict[str, Any] = {"judges": judges}
    if options.protocol is not None:
        changes["average"] = "utterance" if protocol == "seed-tts-eval" else "corpus"
    for name in ("confidence", "num_resamples", "num_permutations", "num_examples"):
        if getattr(options, name) is not None:
            changes[name] = getattr(options, name)
    return dataclasses.replace(settings, **changes)


def _is_audio(system: SystemSpec, has_recipe: bool) -> bool:
    """Whether the source of a system is a folder of audio, and no checkpoint."""
    if not has_recipe:
        return True
    return os.path.isdir(system.source) and not any(os.path.isfile(os.path.join(system.source, name)) for name in CHECKPOINT)


def _frame(
    options: argparse.Namespace,
    made: recipe.Recipe,
    systems: Sequence[SystemSpec],
    folders: Mapping[str, AudioFolder],
    asked: Asked,
) -> Frame:
    names = [one.name for one in systems]
    place = options.suite or (options.list.name if options.list is not None else "the recipe's held-out prompts")
    between = names[0] if len(names) == 1 else f"{listed(names[1:])} against {names[0]}"
    normalisers = {
        name: describe(rule)
        for name, one in made.evaluate.judges.items()
        if isinstance(rule := getattr(one.metric, "normaliser", None), str)
    }
    protocol = {"name": asked.protocol, "normalisers": normalisers}
    inputs = {**asked.inputs, **{one.name: one.source for one in systems}}
    provenance: dict[str, Any] = {"protocol": protocol, "inputs": inputs}
    if options.recipe is not None:
        provenance["recipe"] = recipe.STRUCTURER.unstructure(made)
    else:
        provenance["evaluate"] = recipe.STRUCTURER.unstructure(made.evaluate)
    note = asked.note
    if asked.protocol == "strict":
        note = AVERAGES.get(made.evaluate.average, note)
    note = f"{note} {NO_ENDS}" if folders else note
    return Frame(title=options.title or f"{between} on {place}", note=note.strip(), provenance=provenance)

"""A run folder, or a recipe with its models, opened for listening: systems, texts, voices, and where things lie."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from demo.studio import Voice
from demo.uploads import LONGEST, SHORTEST
from lpo_tts import files
from lpo_tts import recipe as recipes
from lpo_tts.backbones.templates import takes_voice
from lpo_tts.codecs.base import LoadedCodec
from lpo_tts.config import check_name, read_yaml
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.records import Prompt, Utterance

MAX_VOCABULARY = 500  # ours: a longer list of words is no hint
MAX_VOICES = 200  # ours: speakers to choose from; nobody reads a longer list
MAX_ROWS_READ = 20_000  # ours: rows of a manifest that are looked through for voices
NUM_EXAMPLES = 6


def open_run(folder: Path, recipe: str | None = None, device: str | None = None, *, trust: bool = False) -> "RunSession":
    """Opens a run folder by the resolved recipe in it.

    Args:
        folder: what `lpo-tts run` wrote.
        recipe: name of the recipe; default: the only one run into this folder, else the one named like the folder.
        device: overrides the recipe's.
        trust: import the parts that the recipe names as `module:Class`, and start the programs that it names; both run
            somebody's code.

    Raises:
        ArtefactError: no run lies there, or several recipes do and none was named.
        ConfigError: the recipe is none, or names a `module:Class` or a program and is not trusted.
    """
    names = {path.name.removeprefix("recipe.").removesuffix(".json"): path for path in sorted(folder.glob("recipe.*.json"))}
    if recipe is None:
        recipe = next(iter(names)) if len(names) == 1 else folder.resolve().name
    if recipe not in names:
        if not names:
            raise ArtefactError(
                f"{folder}: expected a run folder with recipe.<name>.json, found none; make it with `lpo-tts run RECIPE`"
            )
        raise ArtefactError(
            f"{folder}: expected the name of one of its recipes ({', '.join(names)}), found {recipe!r}; give --recipe"
        )
    found = recipes.structure(files.read_json(names[recipe]), str(names[recipe]), trusted=trust)
    # The folder may have been moved since: what was asked for counts, not what the recipe remembers.
    return RunSession(dataclasses.replace(found, out=folder, device=device or found.device))


def open_recipe(path: Path, models: Sequence[str] = (), device: str | None = None, *, trust: bool = False) -> "RunSession":
    """Opens a recipe file and checkpoints, without a run: models speak, and what a run has left in `out` is used where it lies.

    Args:
        path: the recipe.
        models: NAME=CHECKPOINT each, a folder or a hub id; `base` takes the place of the recipe's own model.
        device: overrides the recipe's.
        trust: as for `open_run`.

    Raises:
        ConfigError: the recipe is wrong, a model is not written so, or a name is there twice.
        ArtefactError: a checkpoint that is written as a path is no folder.
    """
    found = recipes.structure(read_yaml(path), str(path), trusted=trust)
    named: dict[str, str] = {}
    for one in models:
        name, _, checkpoint = one.partition("=")
        if not name or not checkpoint or name in named:
            raise ConfigError(f"--model: expected NAME=CHECKPOINT, and each name once, found {one!r}")
        check_name("--model", name)
        if not Path(checkpoint).is_dir() and (checkpoint.startswith((".", "/", "~")) or checkpoint.count("/") != 1):
            raise ArtefactError(f"--model {one}: expected the folder of a checkpoint or a hub id, found neither")
        named[name] = checkpoint
    return RunSession(dataclasses.replace(found, device=device or found.device), named or None)


class RunSession:
    """One run folder or recipe; the codec is loaded when first needed.

    Args:
        recipe: its `out` is the run folder, which need not be there.
        models: checkpoints by the names of their systems; None: those that the run has made.
    """

    def __init__(self, recipe: recipes.Recipe, models: Mapping[str, str] | None = None) -> None:
        self.recipe = recipe
        self.run = recipe.run()
        if models is None:
            models = {name: str(recipe.checkpoint(name)) for name in recipe.systems if recipe.checkpoint(name).is_dir()}
        self.models: dict[str, str | None] = {recipes.BASE: None, **models}

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the models that can speak, the base first."""
        return tuple(self.models)

    @cached_property
    def prompts(self) -> dict[str, Prompt]:
        """All prompts by id; none where the run has not made them."""
        path = self.run.prompts_path
        return {prompt.id: prompt for prompt in files.iterate_rows(path, Prompt)} if path.exists() else {}

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Words of a word-level tokenizer of few words; empty for any other, which knows any text."""
        words = self.recipe.backbone.token_map().words()
        return words if len(words) <= MAX_VOCABULARY else ()

    @cached_property
    def examples(self) -> list[str]:
        """A few held-out texts of the run."""
        held_out = [prompt.text for prompt in self.prompts.values() if prompt.split != "train"]
        texts = held_out or [prompt.text for prompt in self.prompts.values()]
        texts = texts or [row.text for row in itertools.islice(self._recorded, NUM_EXAMPLES)]
        return list(dict.fromkeys(texts))[:NUM_EXAMPLES]

    def voices(self) -> list[Voice]:
        """One recording per speaker, held-out prompts' first; of the recipe's manifest where there are no prompts."""
        return list(self._voices.values())

    @cached_property
    def _voices(self) -> dict[str, Voice]:
        found: dict[str, Voice] = {}
        for prompt in sorted(self.prompts.values(), key=lambda one: one.split == "train"):
            if prompt.voice is not None and prompt.voice.speaker not in found and len(found) < MAX_VOICES:
                found[prompt.voice.speaker] = self.voice_of(prompt.voice)
        if not self.prompts:
            for row in self._recorded:
                if row.speaker not in found and len(found) < MAX_VOICES and SHORTEST <= row.duration <= LONGEST:
                    found[row.speaker] = self.voice_of(row, Path(self.recipe.prompts.manifest or "").parent)
        return found

    @cached_property
    def _recorded(self) -> list[Utterance]:
        """Rows of the recipe's manifest, as many as are looked through."""
        path = self.recipe.prompts.manifest
        if path is None or not Path(path).is_file():
            return []
        return list(itertools.islice(files.iterate_rows(Path(path), Utterance), MAX_ROWS_READ))

    @property
    def takes_voice(self) -> bool:
        """Whether the model imitates a voice."""
        return takes_voice(self.recipe.backbone)

    @property
    def takes_voice_text(self) -> bool:
        """Whether the model wants to know what is said in the recording of the voice."""
        template = getattr(self.recipe.backbone, "template", None)
        return template is None or "{voice_text}" in template

    def voice_of(self, utterance: Utterance, root: Path | None = None) -> Voice:
        """A recording as a voice; its path is relative to the run folder, or to `root`."""
        tags = "".join(f" ({name}: {value})" for name, value in utterance.tags.items())
        return Voice(
            id=utterance.id,
            label=f"{utterance.speaker}{tags}",
            path=(self.run.out if root is None else root) / utterance.audio,
            text=utterance.text,
            language=utterance.language,
        )

    @cached_property
    def codec(self) -> LoadedCodec:
        """The codec of the run, without any model."""
        return self.recipe.codec.load(self.run.device)

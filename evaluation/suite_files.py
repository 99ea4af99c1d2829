"""Files of test suites: their schema, and reading them; which judges they name is looked up last."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpo_tts.bounds import at_least, check_settings
from lpo_tts.config import Structurer, check_name, merge, read_yaml
from lpo_tts.errors import ArtefactError, ConfigError

if TYPE_CHECKING:
    from evaluation.test_sets.base import TestSet
    from lpo_tts.records import Prompt
    from lpo_tts.steps.judges import EvaluateSettings

FOLDER = Path(__file__).with_name("suites")
YAML = (".yaml", ".yml")


@dataclass(frozen=True, kw_only=True)
class About:
    """What people want to know of a suite before they use it; nothing is computed from it.

    Attributes:
        measures: what its figures tell.
        source: address of the data.
        fetch: how a local copy is made, and what --from names.
        licence: of texts and recordings.
        published: who publishes numbers with it.
        verified: what of this file was verified, how, and what was not.
    """

    measures: str
    source: str
    fetch: str
    licence: str
    published: str
    verified: str


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One protocol of a suite, as its file has it.

    Attributes:
        note: what stands on the page of a report.
        num_seeds: candidates per prompt that the protocol asks for.
        evaluate: the section of a recipe, whose `average` is the figure to compare with other work; relative paths are
            relative to the working folder.
    """

    note: str
    num_seeds: int = 1
    evaluate: Mapping[str, Any] = field(default_factory=dict)

    bounds = {"num_seeds": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")


@dataclass(frozen=True, kw_only=True)
class SuiteFile:
    """A file of `evaluation/suites`, or one of your own, before its judges are looked up.

    Attributes:
        about: what people want to know.
        data: the test set, `{name: ..., settings}`.
        prompts: where its prompts are expected.
        languages: ISO 639-1 codes of its texts.
        num_prompts: how many there should be; None: nothing fixes it.
        modes: name -> protocol; the first one is what `load` takes where none is named.
    """

    about: About
    data: Mapping[str, Any]
    prompts: Path
    languages: tuple[str, ...]
    num_prompts: int | None = None
    modes: dict[str, Mode]

    bounds = {"num_prompts": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if not self.modes:
            raise ConfigError("modes: expected at least one, found none")
        for name in self.modes:
            check_name("modes", name)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A test suite in one of its modes, ready to be judged by.

    Attributes:
        name: of the suite.
        mode: of the protocol.
        about: what people want to know of it.
        prompts: the table of its prompts, whose recordings are relative to its folder.
        languages: of its texts.
        num_prompts: how many there should be; None: nothing fixes it.
        note: for the page of a report.
        num_seeds: candidates per prompt that the protocol asks for.
        evaluate: judges and settings of the report; its `average` is the figure to compare with other work.
    """

    name: str
    mode: str
    about: About
    prompts: Path
    languages: tuple[str, ...]
    num_prompts: int | None
    note: str
    num_seeds: int
    evaluate: "EvaluateSettings"

    def read(self) -> "list[Prompt]":
        """Its prompts, with recordings relative to the working folder.

        Raises:
            ArtefactError: the local copy was not converted, or the table is damaged.
        """
        from lpo_tts.artefacts import read_rows
        from lpo_tts.records import Prompt

        if not self.prompts.is_file():
            raise ArtefactError(
                f"{self.prompts}: expected the prompts of the suite {self.name}, found none; make them: "
                f"python -m evaluation.suites {self.name} --from LOCAL_COPY --out {self.prompts.parent}"
            )
        folder = self.prompts.parent
        return [
            replace(
                one,
                voice=replace(one.voice, audio=str(folder / one.voice.audio)) if one.voice is not None else None,
                target=replace(one.target, audio=str(folder / one.target.audio)) if one.target is not None else None,
            )
            for one in read_rows(self.prompts, Prompt)
        ]


def names() -> list[str]:
    """Of every suite that comes with the project, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a suite: a name, or the path of a .yaml file; raises ConfigError where there is none."""
    if name.endswith(YAML):
        return Path(name)
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ConfigError(f"suite: expected one of {', '.join(known)}, or the path of a .yaml file, found {name!r}{hint}")
    return FOLDER / f"{name}.yaml"


def read(name: str) -> SuiteFile:
    """A suite without its judges, so that nothing heavy is imported; raises ConfigError naming file and key."""
    path = find(name)
    return _structure(Structurer({}), read_yaml(path), SuiteFile, str(path))


def _structure(structurer: Structurer, tree: Any, kind: Any, where: str) -> Any:
    """Settings from their tree; raises ConfigError that begins with the place and a colon."""
    try:
        return structurer.structure(tree, kind)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def load(name: str, mode: str | None = None) -> Suite:
    """A suite in one of its modes; no judge is loaded.

    Args:
        name: of a suite, or path of its file; `NAME/MODE` and `FILE/MODE` will do too.
        mode: of its protocols; None: the first in the file.

    Raises:
        ConfigError: there is no such suite or mode, or a key is wrong; the message names file and key.
    """
    from lpo_tts import recipe

    if mode is None and "/" in name and not name.endswith(YAML):
        name, _, mode = name.rpartition("/")  # of a file too: FOLDER/mine.yaml/strict
    found = read(name)
    chosen = mode if mode is not None else next(iter(found.modes))
    if chosen not in found.modes:
        raise ConfigError(f"{find(name)}: expected a mode of {', '.join(found.modes)}, found {chosen!r}")
    own = found.modes[chosen]
    where = f"{find(name)}: modes.{chosen}.evaluate"
    evaluate = _structure(recipe.STRUCTURER, _without_nothing(own.evaluate), recipe.EvaluateSettings, where)
    if not evaluate.judges:
        raise ConfigError(f"{where}: expected judges, found none")
    return Suite(
        name=find(name).stem,
        mode=chosen,
        about=found.about,
        prompts=found.prompts,
        languages=found.languages,
        num_prompts=found.num_prompts,
        note=" ".join(own.note.split()),
        num_seeds=own.num_seeds,
        evaluate=evaluate,
    )


def _without_nothing(evaluate: Mapping[str, Any]) -> dict[str, Any]:
    """The section without the judges that are null, by which a file leaves out what the one it extends has."""
    judges = evaluate.get("judges")
    if not isinstance(judges, Mapping):
        return dict(evaluate)
    return {**evaluate, "judges": {name: one for name, one in judges.items() if one is not None}}


def data_of(name: str, changes: Mapping[str, Any] | None = None) -> "TestSet":
    """The test set of a suite, with changes to its settings; raises ConfigError naming file and key."""
    from evaluation import test_sets
    from evaluation.test_sets.base import TestSet

    tree = merge(read(name).data, changes or {})
    return _structure(Structurer({TestSet: test_sets.REGISTRY}), tree, TestSet, f"{find(name)}: data")

"""Reports read back from report.json: what a table of several runs needs of each, without models and audio."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.columns import SUMS
from lpo_tts.comparison.figures import Average
from lpo_tts.comparison.results import SCHEMA, Bootstrap, Test
from lpo_tts.config import Structurer
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.files import read_object
from lpo_tts.statistics import Interval

NAME = "report.json"
Figures = Mapping[str, Interval | None]  # by name of the figure
Typed = TypeVar("Typed")
_structurer = Structurer()


@dataclass(frozen=True, kw_only=True)
class OwnDifference:
    """A system less the base of its own run by one metric, as its report tells it."""

    figures: Figures
    test: Test | None


@dataclass(frozen=True, kw_only=True)
class PromptValues:
    """One prompt of a report, with the sums of `PromptRow.sums`: system -> metric -> columns."""

    text: str
    sums: Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One report, as far as a table of several needs it.

    Attributes:
        path: of report.json.
        name: of the run, as its recipe calls it; the run folder's name where there is no recipe.
        metrics: by name.
        figures: system -> metric -> figures.
        differences: (system, metric) -> what the report says of the system against its own base.
        prompts: prompt id -> its values; empty where the report holds none.
        judges: metric -> settings of the judge, with hashes of its files.
        recipe: the recipe, with the choices of all its sections; empty where the report was made without one.
    """

    path: Path
    name: str
    systems: tuple[str, ...]
    baseline: str | None
    average: str
    split: str | None
    num_prompts: int
    num_seeds: int
    bootstrap: Bootstrap
    metrics: Mapping[str, MetricRole]
    figures: Mapping[str, Mapping[str, Figures]]
    differences: Mapping[tuple[str, str], OwnDifference]
    prompts: Mapping[str, PromptValues] = field(default_factory=dict)
    judges: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    verdict: str = ""

    @property
    def folder(self) -> Path:
        """The run folder, or the report's folder where that lies alone."""
        parent = self.path.absolute().parent
        return parent.parent if parent.name == "report" else parent

    @property
    def prompts_hash(self) -> str | None:
        """Of ids and texts of all prompts, whatever their order; None where the report names none."""
        if not self.prompts:
            return None
        lines = sorted(f"{name}\0{one.text}\n" for name, one in self.prompts.items())
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def judge(self, metric: str) -> Any:
        """The settings of the judge behind a metric; of a derived one those of the judge it is derived from."""
        role = self.metrics[metric]
        return self.judges.get(role.of or metric, self.judges.get(metric))

    def training(self, system: str) -> Mapping[str, Any]:
        """The `train` section behind a system; empty where the recipe does not tell, and of the base."""
        if system == self.baseline:
            return {}
        variants = self.recipe.get("variants") or {}
        if system in variants:
            return (variants[system] or {}).get("train") or {}
        return (self.recipe.get("train") or {}) if system == "aligned" else {}


def find(given: str | os.PathLike) -> Path:
    """The report.json that a run folder, a report folder or a file stands for.

    Raises:
        ArtefactError: there is none.
        ConfigError: there are several.
    """
    path = Path(given)
    if path.is_file():
        return path
    if (path / NAME).is_file():
        return path / NAME
    found = sorted(path.glob(f"*/{NAME}"))
    if len(found) > 1:
        shown = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
        raise ConfigError(f"{path}: expected one report, found {len(found)} ({shown}); name the one you mean")
    if not found:
        raise ArtefactError(
            f"{path}: no {NAME} here or one folder below; give a run folder, a report's folder or the file, as "
            "`lpo-tts evaluate` or `python -m evaluation.evaluate` writes it"
        )
    return found[0]


def find_all(folder: str | os.PathLike) -> Iterator[Path]:
    """Every report.json below a folder, in order of their paths; a folder that links lead to twice is searched once."""
    seen: set[tuple[int, int]] = set()

    def search(place: Path) -> Iterator[Path]:
        try:
            known = place.stat()
            names = sorted(os.listdir(place))
        except OSError:
            return  # a link to nowhere, or a folder that may not be read
        if (known.st_dev, known.st_ino) in seen:
            return
        seen.add((known.st_dev, known.st_ino))
        if (place / NAME).is_file():
            yield place / NAME
        for name in names:
            if (place / name).is_dir():
                yield from search(place / name)

    root = Path(folder)
    if not root.is_dir():
        raise ArtefactError(f"{root}: expected a folder with reports below it, found none; check the path")
    yield from search(root)


def read(path: Path) -> Source:
    """Reads one report.json.

    Raises:
        ArtefactError: it is no report, of another schema, or not as a report is written; says which file and what to do.
    """
    tree = read_object(path)
    if "systems" not in tree or "results" not in tree:
        raise ArtefactError(f"{path}: expected the report of an evaluation, found another JSON file; name another")
    schema = tree.get("schema", 1)
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        todo = "update lpo-tts" if newer else "make the report again: lpo-tts evaluate RECIPE --redo evaluate"
        raise ArtefactError(f"{path}: expected a report of schema {SCHEMA}, found schema {schema!r}; {todo}")
    try:
        return _source(path, tree)
    except (AttributeError, KeyError, TypeError, ValueError, ConfigError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ArtefactError(f"{path}: not as a report is written ({what}); make it again, or leave it out") from error


def _source(path: Path, tree: Mapping[str, Any]) -> Source:
    provenance = tree.get("provenance") or {}
    recipe = provenance.get("recipe") or {}
    metrics = {one["name"]: _typed(one, MetricRole) for one in tree["metrics"]}
    source = Source(
        path=path,
        name=str(recipe.get("name") or ""),
        systems=tuple(tree["systems"]),
        baseline=tree["baseline"],
        average=tree["average"],
        split=tree.get("split"),
        num_prompts=int(tree["num_prompts"]),
        num_seeds=len(tree["seeds"]),
        bootstrap=_typed(tree["bootstrap"], Bootstrap),
        metrics=metrics,
        figures={
            system: {name: _figures(found) for name, found in tree["results"][system]["figures"].items()}
            for system in tree["systems"]
        },
        differences={
            (one["system"], one["metric"]): OwnDifference(
                figures=_figures(one.get("figures") or {}), test=None if one.get("test") is None else _test(one["test"])
            )
            for one in tree["differences"]
        },
        prompts={one["prompt_id"]: _prompt(one) for one in tree.get("prompts") or ()},
        judges=provenance.get("judges") or {},
        recipe=recipe,
        title=tree.get("title", ""),
        verdict=tree.get("verdict", ""),
    )
    unknown = {name for found in source.figures.values() for name in found} - set(metrics)
    if unknown:
        raise ValueError(f"figures of {', '.join(sorted(unknown))}, which is none of its metrics")
    if source.average not in get_args(Average):
        raise ValueError(f"an average {source.average!r}, which is none of {', '.join(get_args(Average))}")
    for prompt, one in source.prompts.items():
        for name, columns in (pair for own in one.sums.values() for pair in own.items()):
            wanted = len(SUMS[metrics[name].aggregate]) if name in metrics else len(columns)
            if len(columns) != wanted:
                raise ValueError(f"{len(columns)} sums of {name} for the prompt {prompt!r}, where {wanted} are written")
    if source.baseline is not None and source.baseline not in source.systems:
        raise ValueError(f"a baseline {source.baseline!r}, which is none of its systems")
    return source if source.name else dataclasses.replace(source, name=source.folder.name)


def _typed(tree: Mapping[str, Any], kind: type[Typed]) -> Typed:
    """A dataclass from its tree; keys that this version does not know are passed over."""
    names = {one.name for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return _structurer.structure({key: value for key, value in tree.items() if key in names}, kind)


def _figures(tree: Mapping[str, Any]) -> dict[str, Interval | None]:
    return {name: None if one is None else _interval(one) for name, one in tree.items()}


def _interval(one: Mapping[str, Any]) -> Interval:
    """Without cattrs: a report holds thousands of them."""
    ends = [None if one[name] is None else float(one[name]) for name in ("low", "high")]
    return Interval(
        estimate=float(one["estimate"]),
        low=ends[0],
        high=ends[1],
        confidence=float(one["confidence"]),
        num_resamples=int(one["num_resamples"]),
        num_clusters=int(one["num_clusters"]),
    )


def _test(tree: Mapping[str, Any]) -> Test:
    return _typed(tree, Test)


def _prompt(row: Mapping[str, Any]) -> PromptValues:
    sums: dict[str, dict[str, tuple[float, ...]]] = {}
    for system, found in (row.get("sums") or {}).items():
        sums[system] = {name: tuple(map(float, columns)) for name, columns in found.items()}
    if not isinstance(row["text"], str):
        raise ValueError(f"the text {row['text']!r} of prompt {row['prompt_id']!r}")
    return PromptValues(text=row["text"], sums=sums)

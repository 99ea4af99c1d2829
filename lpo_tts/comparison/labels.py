"""Names of runs and systems in a table of many: the loss and the settings that tell it from the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpo_tts.comparison.reports import Source

Place = tuple[Path, str]  # of a report, and a system in it
MAX_SETTINGS = 3  # that a name spells out; with more of them the run's name says it better
# Settings of `train` that change how a run is carried out, and not what it learns.
ASIDE = ("threads", "keep_checkpoints", "logging_steps", "save_steps", "eval_steps", "trackers", "gradient_checkpointing")


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a row is called.

    Attributes:
        text: as short as it can be told from the others.
        detail: the run and system, and the loss with its settings.
    """

    text: str
    detail: str
    run: str
    system: str

    @property
    def answers_to(self) -> tuple[str, ...]:
        """What a user may call it, the clearest first."""
        return (self.text, f"{self.run}/{self.system}", self.system, self.run)


def run_names(sources: Sequence[Source], names: Sequence[str] = ()) -> dict[Path, str]:
    """A name for every run: as given, else as its recipe is called; folders where two recipes have one name.

    Of folders as many parts are told as it takes to tell them apart.
    """
    if names:
        return {source.path: name for source, name in zip(sources, names, strict=True)}
    found = {source.path: source.name for source in sources}
    depth = 1
    while len(set(found.values())) < len(found) and depth < 50:
        taken = list(found.values())
        for source in sources:
            if taken.count(found[source.path]) > 1 or found[source.path] != source.name:
                parts = source.folder.parts
                found[source.path] = "/".join(parts[-depth:])
        depth += 1
    for number, source in enumerate(sources, 1):  # two reports of one folder, or one report twice
        if list(found.values()).count(found[source.path]) > 1:
            found[source.path] = f"{found[source.path]} #{number}"
    return found


def labels_of(sources: Sequence[Source], runs: Mapping[Path, str], *, named: bool = False) -> dict[Place, Label]:
    """A label for every system of every report.

    Args:
        sources: the reports.
        runs: their names.
        named: whether a person chose those names, which then stand in place of losses.
    """
    texts = dict(_texts(sources, runs, named))
    doubled = {text for text in texts.values() if list(texts.values()).count(text) > 1}
    for source in sources:
        for system in source.systems:
            if texts[source.path, system] in doubled:
                texts[source.path, system] = f"{runs[source.path]}/{system}"
    return {
        (source.path, system): Label(
            text=texts[source.path, system],
            detail=_detail(source, system, runs[source.path]),
            run=runs[source.path],
            system=system,
        )
        for source in sources
        for system in source.systems
    }


def _texts(sources: Sequence[Source], runs: Mapping[Path, str], named: bool) -> Iterator[tuple[Place, str]]:
    by_loss: dict[str, list[Place]] = {}
    trees = {(source.path, system): _flat(source.training(system)) for source in sources for system in source.systems}
    for source in sources:
        trained = [system for system in source.systems if system != source.baseline]
        for system in source.systems:
            place, run, loss = (source.path, system), runs[source.path], trees[source.path, system].get("loss.name")
            if len(sources) == 1:
                yield place, system
            elif system == source.baseline:
                yield place, f"{run}/{system}"
            elif named or loss is None or system in (source.recipe.get("variants") or {}):
                yield place, run if len(trained) == 1 else f"{run}/{system}" if named else system
            else:
                by_loss.setdefault(str(loss), []).append(place)
    for loss, places in by_loss.items():
        differing = _differing([trees[place] for place in places])
        for place in places:
            told = [f"{key.removeprefix('loss.')} {_short(trees[place].get(key))}" for key in differing]
            inside = ", ".join(told) if len(told) <= MAX_SETTINGS else runs[place[0]]
            yield place, f"{loss} ({inside})" if inside else loss


def _differing(trees: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys whose values are not the same in all trees, those of the loss first."""
    keys = dict.fromkeys(key for tree in trees for key in tree if key.split(".")[0] not in ASIDE)
    found = [key for key in keys if any(tree.get(key) != trees[0].get(key) for tree in trees)]
    return sorted(found, key=lambda key: not key.startswith("loss."))


def _flat(tree: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{where}{key}.") if isinstance(value, Mapping) else {f"{where}{key}": value}
    return flat


def _detail(source: Source, system: str, run: str) -> str:
    loss = _flat(source.training(system).get("loss") or {})
    name = loss.pop("name", None)
    settings = [f"{key} {_short(value)}" for key, value in loss.items() if isinstance(value, int | float)]
    return f"{run}/{system}" + (f" · {name}" if name else "") + (f": {', '.join(settings)}" if settings else "")


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

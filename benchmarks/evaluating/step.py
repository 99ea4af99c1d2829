"""The judging of the evaluation step, in a folder of its own, with workers of one thread each."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpo_tts.artefacts import Artefact, Provenance
from lpo_tts.engines.local import Local
from lpo_tts.metrics.base import Metric
from lpo_tts.records import Judgement
from lpo_tts.steps.judged import judge_all
from lpo_tts.steps.judged_table import Item
from lpo_tts.steps.run import Plan

SYSTEM = "system"


@dataclass(frozen=True)
class Judged:
    """A judge of the step: a metric that hears everything."""

    metric: Metric
    max_candidates: int | None = None


@dataclass(frozen=True)
class Place:
    """A folder of results and processes, as `lpo_tts.steps.judged_table.Where` asks for them."""

    out: Path
    workers: int
    worker_device: str = "cpu"

    def map(self, make_worker: Callable[[], Callable[[Any], Any]], blocks: Iterable[Any]) -> Iterator[Any]:
        """In `workers` processes; 0 = in this one, with its threads."""
        return Local(self.workers).map(make_worker, blocks)

    def prepare(self, plan: Plan, inputs: dict[str, str], *, tell: bool = True) -> tuple[Artefact, bool]:
        """A table that is begun, or is complete."""
        artefact = Artefact(plan.path, Provenance(plan.verb, plan.settings, inputs))
        if artefact.state() == "complete":
            return artefact, True
        artefact.begin()
        return artefact, False

    def identity(self, value: Any, kind: Any = None) -> Any:
        """Settings as words: nothing is resumed by other settings here."""
        return repr(dataclasses.asdict(value)) if dataclasses.is_dataclass(value) else repr(value)  # type: ignore[arg-type]


def judge(
    metrics: Mapping[str, Metric], items: Sequence[Item], out: Path, workers: int
) -> tuple[dict[str, dict[str, Judgement]], dict[str, float]]:
    """Judgements by metric and item, and seconds by stage, of all workers together; models are loaded within."""
    spent: dict[str, float] = {}
    judges = {name: Judged(metric) for name, metric in metrics.items()}
    scores = judge_all(Place(out, workers), judges, {SYSTEM: items}, spent=spent)
    return {name: {key: row.judgement for key, row in scores[name, SYSTEM].items()} for name in metrics}, spent

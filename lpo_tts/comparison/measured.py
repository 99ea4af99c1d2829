"""One metric over all systems: rows, figures and paired differences, all from one pass over the same draws."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole
from lpo_tts.comparison.cells import Cell
from lpo_tts.comparison.columns import Table, draw, paired, table_of
from lpo_tts.comparison.differences import difference_of, duration_ratio, gap_of
from lpo_tts.comparison.figures import figures_of, main_figure
from lpo_tts.comparison.results import Bootstrap, Difference, DurationRatio, Gap
from lpo_tts.comparison.rows import Figures, cell_of
from lpo_tts.comparison.significance import Evidence, evidence_of
from lpo_tts.comparison.tally import Outcome
from lpo_tts.statistics import NUM_PERMUTATIONS, Draws


@dataclass(frozen=True)
class Measured:
    """What one metric says of all systems.

    Attributes:
        tables: by system.
        figures: by system, each with its interval; None for one without a value.
        differences: every system less the baseline, with the evidence on it; none of systems without a shared value.
    """

    tables: Mapping[str, Table]
    figures: Mapping[str, Figures]
    differences: Sequence[tuple[Difference, Evidence | None]]


@dataclass(frozen=True)
class Comparison:
    """All candidates of all systems with their outcomes, and the system that the others are compared with.

    Attributes:
        candidates: by system, in the order of the report.
        outcomes: (system, metric) -> one per candidate of the system.
        roles: the metrics.
        baseline: None when nothing is compared.
        average: what stands for a ratio.
        bootstrap: how intervals are made.
        num_permutations: drawn at most, for each test.
    """

    candidates: Mapping[str, Sequence[JudgedCandidate]]
    outcomes: Mapping[tuple[str, str], Sequence[Outcome]]
    roles: Sequence[MetricRole]
    baseline: str | None
    average: str
    bootstrap: Bootstrap
    num_permutations: int = NUM_PERMUTATIONS
    _same_draws: Draws | None = field(default=None, repr=False, compare=False)

    @property
    def all(self) -> list[JudgedCandidate]:
        """Candidates of all systems."""
        return [one for own in self.candidates.values() for one in own]

    @property
    def others(self) -> list[str]:
        """The systems that are compared with the baseline."""
        return [] if self.baseline is None else [name for name in self.candidates if name != self.baseline]

    @cached_property
    def prompts(self) -> dict[str, int]:
        """Prompt id -> its place in the draws."""
        return {name: place for place, name in enumerate(dict.fromkeys(one.prompt_id for one in self.all))}

    @cached_property
    def draws(self) -> Draws:
        """The draws of prompts that every figure shares."""
        if self._same_draws is not None and self._same_draws.num_clusters == len(self.prompts):
            return self._same_draws
        return Draws(len(self.prompts), self.bootstrap.num_resamples, self.bootstrap.seed)

    def only(self, kept: Mapping[str, Sequence[bool]]) -> "Comparison":
        """The same on some candidates of each system."""
        return replace(
            self,
            candidates={name: _where(kept[name], own) for name, own in self.candidates.items()},
            outcomes={key: _where(kept[key[0]], some) for key, some in self.outcomes.items()},
            _same_draws=self.draws,
        )

    def measure(self, role: MetricRole, figures: Sequence[str] = ()) -> Measured:
        """All figures of one metric (or those named), and the differences; tests only where all figures are wanted."""
        tables = {name: table_of(self.outcomes[name, role.name], role, self.prompts, figures) for name in self.candidates}
        pairs = {name: paired(tables[str(self.baseline)], tables[name], role) for name in self.others}
        # A pair that is on the same prompts as the systems themselves needs no figures of its own.
        wanted = {id(table): table for table in (*tables.values(), *(table for pair in pairs.values() for table in pair))}
        drawn = dict(zip(wanted, draw(list(wanted.values()), self.draws), strict=True))
        differences = []
        for name, pair in pairs.items():
            both = drawn[id(pair[0])], drawn[id(pair[1])]
            found = difference_of(name, str(self.baseline), role, pair, both, self.average, self.bootstrap)
            if found is not None:
                settings = (self.average, self.bootstrap, self.num_permutations)
                differences.append((found, None if figures else evidence_of(role, found.difference, pair, *settings)))
        names = [name for name in figures_of(role) if not figures or name in figures]
        told = {
            system: {name: drawn[id(table)].interval(name, self.bootstrap) for name in names} for system, table in tables.items()
        }
        return Measured(tables, told, differences)

    def brief(self) -> tuple[dict[str, dict[str, Cell]], list[Difference]]:
        """A cell per system and metric, and the differences of what stands for each metric; for groups and seeds."""
        cells: dict[str, dict[str, Cell]] = {name: {} for name in self.candidates}
        differences: list[Difference] = []
        for role in self.roles:
            found = self.measure(role, [main_figure(role, self.average)])
            for name in self.candidates:
                cells[name][role.name] = cell_of(self.outcomes[name, role.name], role, found.figures[name], self.average)
            differences += [difference for difference, _ in found.differences]
        order = {name: place for place, name in enumerate(self.others)}
        return cells, sorted(differences, key=lambda one: order[one.system])

    def gaps(self, tables: Mapping[str, Mapping[str, Table]]) -> Iterator[Gap]:
        """Every judge that chose pairs against every other one of the same scale; `tables` are by metric and system."""
        trained = [role for role in self.roles if role.role == "training judge"]
        others = [role for role in self.roles if role.role in ("judge", "outside", "unstated")]
        for system in self.others:
            for one in trained:
                for other in others:
                    if (one.title, one.is_ratio, one.unit) != (other.title, other.is_ratio, other.unit):
                        continue
                    four = [tables[role.name][name] for role in (one, other) for name in (str(self.baseline), system)]
                    found = gap_of(system, one, other, four, self.average, self.draws, self.bootstrap)
                    if found is not None:
                        yield found

    def durations(self) -> Iterator[DurationRatio]:
        """How much longer every system speaks than the baseline."""
        for system in self.others:
            both = self.candidates[str(self.baseline)], self.candidates[system]
            found = duration_ratio(system, str(self.baseline), both, self.prompts, self.draws, self.bootstrap)
            if found is not None:
                yield found


def _where(kept: Sequence[bool], items: Sequence) -> list:
    return [item for item, keep in zip(items, kept, strict=True) if keep]

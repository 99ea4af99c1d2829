"""Candidates of one system under one metric as columns per prompt: every figure is computed from sums of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.figures import BAD_CASE, EDITS, FIGURES, QUANTILES, figures_of
from lpo_tts.comparison.results import Bootstrap
from lpo_tts.comparison.tally import Outcome
from lpo_tts.statistics import Draws, Interval, Quantiles, percentile_interval

# Figure -> the columns whose sums are divided.
RATIOS: Mapping[str, tuple[str, str]] = {
    "corpus": ("errors", "weight"),
    "corpus_evaluated": ("errors_evaluated", "weight_evaluated"),
    "utterance": ("value", "count"),
    "utterance_evaluated": ("value_evaluated", "count_evaluated"),
    "mean": ("value", "count"),
    "mean_evaluated": ("value_evaluated", "count_evaluated"),
    "bad_cases": ("bad", "count"),
    "perfect": ("perfect", "count"),
    **{name: (name, "weight_evaluated") for name in (*EDITS, "repeated")},
}
# Columns that `PromptRow.sums` keeps, by how the metric is averaged.
_SUMS = ("errors", "weight", "value", "count")
SUMS: Mapping[str, tuple[str, ...]] = {
    "ratio": (*_SUMS, *(f"{name}_evaluated" for name in _SUMS)),
    "mean": ("value", "count"),
}


@dataclass(frozen=True)
class Table:
    """Columns of one system under one metric.

    Attributes:
        figures: names of the figures that can be computed.
        columns: name -> (num_prompts,) sums over the prompt's candidates that count; 0 for a prompt without any.
        values: (num_candidates,) values of those candidates, for quantiles.
        places: (num_candidates,) the prompt of each.
    """

    figures: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]
    values: NDArray[np.float64]
    places: NDArray[np.int64]

    def bottom(self, figure: str) -> NDArray[np.float64]:
        """(num_prompts,) what a figure divides by; above 0 where a prompt takes part in it."""
        return self.columns[RATIOS[figure][1] if figure in RATIOS else "count"]

    def count(self, figure: str) -> NDArray[np.float64]:
        """(num_prompts,) the candidates that take part in a figure."""
        return self.columns["count_evaluated" if FIGURES[figure].evaluated else "count"]

    def rates(self, figure: str) -> NDArray[np.float64]:
        """(num_prompts, 2) numerator and denominator of a figure that is no quantile."""
        return np.stack([self.columns[name] for name in RATIOS[figure]], axis=1)


def table_of(outcomes: Sequence[Outcome], role: MetricRole, prompts: Mapping[str, int], figures: Sequence[str] = ()) -> Table:
    """The columns of one system's outcomes.

    Args:
        outcomes: one per candidate; those without a value do not count.
        role: the metric.
        prompts: prompt id -> its place.
        figures: the figures wanted; all of the metric's if none are named.
    """
    counted = [one for one in outcomes if one.value is not None]
    places = np.array([prompts[one.prompt_id] for one in counted], dtype=np.int64)
    values = np.array([one.value for one in counted], dtype=np.float64)
    heard = np.array([one.state == "evaluated" for one in counted], dtype=bool)
    weights = np.array([one.weight for one in counted], dtype=np.float64)
    cells = {"value": values, "count": np.ones_like(values), "weight": weights}
    cells["errors"] = np.array([one.errors for one in counted], dtype=np.float64)
    cells |= {f"{name}_evaluated": cells[name] * heard for name in ("value", "count", "weight", "errors")}
    told = [name for name in figures_of(role) if not figures or name in figures]
    if role.is_ratio:
        cells["bad"] = (values < BAD_CASE if role.higher_is_better else values > BAD_CASE).astype(np.float64)
        if role.perfect is None:
            told = [name for name in told if name != "perfect"]
        else:
            cells["perfect"] = np.isclose(values, role.perfect, rtol=0, atol=1e-9).astype(np.float64)
        edits = [one.edits for one in counted]
        if all(one is not None for one, was_heard in zip(edits, heard, strict=True) if was_heard) and heard.any():
            for name in (*EDITS, "repeated"):
                cells[name] = np.array([getattr(one, name) if one else 0 for one in edits], dtype=np.float64)
        else:
            told = [name for name in told if name not in (*EDITS, "repeated")]
    wanted = {"count", *(column for name in told for column in RATIOS.get(name, ()))}
    columns = {name: np.bincount(places, cells[name], len(prompts)).astype(np.float64) for name in cells if name in wanted}
    return Table(tuple(told), columns, values, places)


def paired(old: Table, new: Table, role: MetricRole) -> tuple[Table, Table]:
    """The same tables on prompts that both systems have; of a plain mean, each prompt counts once by the mean of its seeds.

    So a prompt that one system has more values for does not weigh more in that system alone.
    """
    figures = tuple(name for name in old.figures if name in new.figures)
    bottoms = {name: RATIOS[name][1] for name in figures if name in RATIOS} | {"median": "count"}
    shared = {column: (old.columns[column] > 0) & (new.columns[column] > 0) for column in bottoms.values()}
    as_they_are = all(
        np.array_equal(table.columns[column] > 0, keep) and (role.is_ratio or len(np.unique(table.columns[column][keep])) <= 1)
        for column, keep in shared.items()
        for table in (old, new)
    )
    if as_they_are and old.figures == new.figures:
        return old, new
    return _on(old, figures, shared, role), _on(new, figures, shared, role)


def _on(table: Table, figures: Sequence[str], shared: Mapping[str, NDArray[np.bool_]], role: MetricRole) -> Table:
    columns = {"count": table.columns["count"] * shared["count"]}
    for top, bottom in (RATIOS[name] for name in figures if name in RATIOS):
        keep, divisor = shared[bottom], table.columns[bottom]
        if role.is_ratio:
            columns |= {top: table.columns[top] * keep, bottom: divisor * keep}
        else:
            means = np.divide(table.columns[top], divisor, out=np.zeros_like(divisor), where=keep)
            columns |= {top: means, bottom: keep.astype(np.float64)}
    here = shared["count"][table.places]
    return replace(table, figures=tuple(figures), columns=columns, values=table.values[here], places=table.places[here])


@dataclass(frozen=True)
class Drawn:
    """All figures of one table.

    Attributes:
        estimates: figure -> its value; NaN where there is none.
        resamples: figure -> (num_resamples,) its value in each resample; NaN where it has none.
        num_prompts: figure -> prompts that take part in it.
    """

    estimates: Mapping[str, float]
    resamples: Mapping[str, NDArray[np.float64]]
    num_prompts: Mapping[str, int]

    def interval(self, figure: str, bootstrap: Bootstrap) -> Interval | None:
        """A figure with its interval; None where it has no value."""
        if figure not in self.estimates or np.isnan(self.estimates[figure]):
            return None
        drawn = self.resamples[figure]
        return percentile_interval(
            self.estimates[figure], drawn[~np.isnan(drawn)], bootstrap.confidence, num_clusters=self.num_prompts[figure]
        )


def draw(tables: Sequence[Table], draws: Draws) -> list[Drawn]:
    """All figures of many tables in one pass over the same draws of prompts.

    A resample that holds no prompt of a figure has no value there, and is left out of its interval.
    """
    if not tables:
        return []
    names = [list(table.columns) for table in tables]
    own = [np.stack(list(table.columns.values()), axis=1) for table in tables]
    quantiles = [_quantiles(table, draws.num_clusters) for table in tables]
    # One product of matrices for all: the columns of every table, then what its quantiles ask for.
    columns = np.concatenate([*own, *(one.columns for one in quantiles if one is not None)], axis=1)
    ends = np.cumsum([part.shape[1] for part in (*own, *(one.columns for one in quantiles if one is not None))])
    parts = [slice(end - size, end) for end, size in zip(ends, np.diff(ends, prepend=0), strict=True)]
    sums: list[NDArray[np.float64]] = []
    found: list[list[NDArray[np.float64]]] = [[] for _ in tables]
    for block in draws.blocks():
        product = block @ columns
        sums.append(product[:, : ends[len(tables) - 1]])
        asked = iter(parts[len(tables) :])
        for rows, one in zip(found, quantiles, strict=True):
            if one is not None:
                rows.append(one.of(block, product[:, next(asked)]))
    resampled, total = np.concatenate(sums), columns.sum(axis=0)
    result = []
    for k, table in enumerate(tables):
        one, part = quantiles[k], parts[k]
        estimates = _figures(table, names[k], total[None, part], None if one is None else one.estimates()[None])
        resamples = _figures(table, names[k], resampled[:, part], np.concatenate(found[k]) if found[k] else None)
        num_prompts = {name: int(np.count_nonzero(table.bottom(name))) for name in table.figures}
        result.append(Drawn({name: float(value[0]) for name, value in estimates.items()}, resamples, num_prompts))
    return result


def _quantiles(table: Table, num_prompts: int) -> Quantiles | None:
    wanted = [share for name, share in QUANTILES.items() if name in table.figures]
    return Quantiles(table.values, table.places, num_prompts, wanted) if wanted else None


def _figures(
    table: Table, names: Sequence[str], sums: NDArray[np.float64], quantiles: NDArray[np.float64] | None
) -> dict[str, NDArray[np.float64]]:
    """Figures from sums (num_rows, num_columns) and quantiles (num_rows, num_quantiles), each (num_rows,)."""
    column = {name: sums[:, k] for k, name in enumerate(names)}
    result = {}
    for name in table.figures:
        if name in RATIOS:
            top, bottom = (column[one] for one in RATIOS[name])
            result[name] = np.divide(top, bottom, out=np.full(len(sums), np.nan), where=bottom > 0)
    if quantiles is not None:
        result |= {name: quantiles[:, k] for k, name in enumerate(name for name in QUANTILES if name in table.figures)}
    return result

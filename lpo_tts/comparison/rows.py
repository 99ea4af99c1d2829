"""Many outcomes as one row of the results: counts, and the figures that stand for a metric."""

from collections.abc import Mapping, Sequence

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.cells import Cell, MeanRow, RatioRow
from lpo_tts.comparison.figures import BAD_CASE, EDITS, main_figure
from lpo_tts.comparison.tally import Outcome
from lpo_tts.statistics import Interval

Figures = Mapping[str, Interval | None]


def row_of(outcomes: Sequence[Outcome], role: MetricRole, figures: Figures) -> RatioRow | MeanRow:
    """All numbers of one system under one metric, of which the averages are among its figures."""
    return (_ratio_row if role.is_ratio else _mean_row)(outcomes, figures)


def cell_of(outcomes: Sequence[Outcome], role: MetricRole, figures: Figures, average: str) -> Cell:
    """The same in short."""
    return Cell(
        value=figures.get(main_figure(role, average)),
        asked=len(outcomes),
        evaluated=sum(one.state == "evaluated" for one in outcomes),
    )


def _ratio_row(outcomes: Sequence[Outcome], figures: Figures) -> RatioRow:
    counted = [one for one in outcomes if one.value is not None]
    heard = [one for one in counted if one.state == "evaluated"]
    counts = _counts(outcomes)
    words_evaluated = sum(one.weight for one in heard)
    edits = [one.edits for one in heard if one.edits is not None]
    told = len(edits) == len(heard)
    sums = {name: sum(getattr(one, name) for one in edits) if told else None for name in (*EDITS, "repeated")}
    runaway = sum(one.value > BAD_CASE for one in counted if one.value is not None)
    return RatioRow(
        asked=counts["asked"],
        evaluated=counts["evaluated"],
        missing=counts["missing"],
        unscorable=counts["unscorable"],
        not_asked=counts["not_asked"],
        no_words=sum(one.state == "no words" for one in outcomes),
        wer=figures.get("corpus"),
        wer_evaluated=figures.get("corpus_evaluated"),
        mean_utterance_wer=figures.get("utterance"),
        mean_utterance_wer_evaluated=figures.get("utterance_evaluated"),
        words=sum(one.weight for one in counted),
        errors=sum(one.errors for one in counted),
        words_evaluated=words_evaluated,
        errors_evaluated=sum(one.errors for one in heard),
        substitutions=sums["substitutions"],
        deletions=sums["deletions"],
        insertions=sums["insertions"],
        repeated=sums["repeated"],
        inserted_rate=_rate(sums["insertions"], words_evaluated),
        repeated_rate=_rate(sums["repeated"], words_evaluated),
        runaway=runaway,
        runaway_rate=_rate(runaway, len(counted)),
        perfect_rate=_rate(sum(one.errors == 0 for one in counted), len(counted)),
    )


def _mean_row(outcomes: Sequence[Outcome], figures: Figures) -> MeanRow:
    return MeanRow(mean=figures.get("mean"), **_counts(outcomes))


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    states = [one.state for one in outcomes]
    return {
        "asked": len(states),
        "evaluated": states.count("evaluated"),
        "missing": states.count("missing"),
        "unscorable": states.count("unscorable"),
        "not_asked": states.count("not asked"),
    }


def _rate(count: float | None, total: float) -> float | None:
    return count / total if total and count is not None else None

"""Many reports as one table: what may stand in one column, and differences between runs on the same prompts."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lpo_tts.comparison.blocks import Across, Block, Column, Gain, Row
from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.doubts import doubts, other_judge, why_apart
from lpo_tts.comparison.figures import figure_label, figure_scale, figures_of, main_figure
from lpo_tts.comparison.labels import Label, Place, labels_of, run_names
from lpo_tts.comparison.paired import FIGURES, differences_between
from lpo_tts.comparison.reports import Source
from lpo_tts.comparison.results import Difference
from lpo_tts.comparison.wording import counted, main_metric
from lpo_tts.errors import ConfigError
from lpo_tts.statistics import Interval

ALL = "all"  # in place of a metric's name: all of them


def across(
    sources: Sequence[Source],
    *,
    names: Sequence[str] = (),
    metrics: Sequence[str] = (),
    against: str | None = None,
    sort: str | None = None,
    best_first: bool = False,
) -> Across:
    """The table.

    Args:
        sources: reports, in the order of their rows.
        names: of the runs, one each; none: as recipes and folders call them.
        metrics: what becomes a column, "metric" or "metric:figure"; "all": the main figure of every metric; none: of those that
            are derived from no other, or tested.
        against: system that differences between runs start from, as `RUN`, `SYSTEM`, `RUN/SYSTEM` or a row's label; None: the
            first one that is no base, or the best one with `best_first`.
        sort: metric whose figure sorts the rows, best first; None: rows keep their order.
        best_first: sorts by the headline metric where `sort` is None.

    Raises:
        ConfigError: a name is unknown, or there is not one name for each run.
    """
    if names and len(names) != len(sources):
        raise ConfigError(f"--names: expected one name for each of {counted(len(sources), 'run')}, found {len(names)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"--names: expected names that differ, found {', '.join(names)}")
    if not sources:
        raise ConfigError("there is no report to compare")
    paths = [source.path.resolve() for source in sources]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice} is given twice; name each report once")
    wanted = [*metrics, *([] if sort is None else [sort])]
    _check_metrics(wanted, sources)
    runs = run_names(sources, names)
    labels = labels_of(sources, runs, named=bool(names))
    groups: dict[str, list[Source]] = {}
    for source in sources:
        ranked = _meaning(source, _headline(source, sort)) if best_first else ""
        groups.setdefault(f"{source.prompts_hash or source.path} {ranked}", []).append(source)
    blocks = [_block(group, runs, labels, metrics, sort, best_first) for group in groups.values()]
    known = {name for block in blocks for row in block.rows for name in row.label.answers_to}
    if against is not None and against not in known:
        raise ConfigError(f"--against: no system is called {against!r} (there are: {', '.join(sorted(known))})")
    done = [_with_paired(block, group, against, best_first) for block, group in zip(blocks, groups.values(), strict=True)]
    return Across(blocks=tuple(done), notes=tuple(why_apart(list(groups.values()), runs)))


def _check_metrics(wanted: Iterable[str], sources: Sequence[Source]) -> None:
    known = {name: one for source in sources for name, one in source.metrics.items()}
    for given in wanted:
        name, _, figure = given.partition(":")
        if given == ALL:
            continue
        if name not in known:
            raise ConfigError(f"no report has a metric {name!r} (there are: {', '.join(known)})")
        if figure and figure not in figures_of(known[name]):
            raise ConfigError(f"{name!r} has no figure {figure!r} (there are: {', '.join(figures_of(known[name]))})")


def _block(
    sources: Sequence[Source],
    runs: Mapping[Path, str],
    labels: Mapping[Place, Label],
    metrics: Sequence[str],
    sort: str | None,
    best_first: bool,
) -> Block:
    average = sources[0].average
    columns, by_source, notes = _columns(sources, runs, metrics, sort, average)
    rows = _merged([row for source in sources for row in _rows(source, by_source[source.path], labels, average)])
    block = Block(
        num_prompts=sources[0].num_prompts,
        average=average,
        split=sources[0].split,
        confidence=sources[0].bootstrap.confidence,
        columns=tuple(columns),
        rows=tuple(rows),
        notes=tuple(dict.fromkeys([*notes, *doubts(sources, runs)])),
    )
    key = _sort_key(block, sort, best_first)
    return block if key is None else replace(block, rows=tuple(_sorted(block, key)), sorted_by=key)


def _columns(
    sources: Sequence[Source], runs: Mapping[Path, str], metrics: Sequence[str], sort: str | None, average: str
) -> tuple[list[Column], dict[Path, dict[str, Column]], list[str]]:
    """The columns, those of each report by its path, and notes on judges that differ."""
    columns: dict[str, Column] = {}
    by_source: dict[Path, dict[str, Column]] = {source.path: {} for source in sources}
    notes: list[str] = []
    wanted = _wanted(metrics, sources)
    if sort is not None and sort not in wanted:
        wanted.append(sort)
    for given in wanted:
        name, _, figure = given.partition(":")
        judges: dict[str, Column] = {}  # settings of the judge -> its column
        for source in sources:
            if name not in source.metrics:
                continue
            role, judge = source.metrics[name], source.judge(name)
            own = figure or main_figure(role, average)
            meaning = _meaning(source, name)
            if meaning not in judges:
                number = len(judges) + 1
                key = f"{name}:{own}" + (f" ({number})" if number > 1 else "")
                suffix = f" ({number})" if number > 1 else ""
                judges[meaning] = Column(
                    key=key,
                    metric=role,
                    figure=own,
                    label=(role.label or name) + suffix,
                    figure_label=figure_label(role, own),
                    scale=figure_scale(role, own),
                    main=own == main_figure(role, average),
                    judge=judge,
                )
                if number > 1:
                    notes.append(
                        other_judge(name, judges[meaning].label, next(iter(judges.values())).judge, judge, runs[source.path])
                    )
            column = judges[meaning]
            columns[column.key] = by_source[source.path][column.key] = column
    return list(columns.values()), by_source, notes


def _meaning(source: Source, metric: str | None) -> str:
    """What must be equal for values to stand in one column: the judge's settings, and how its values are counted."""
    role = source.metrics.get(metric or "")
    if metric is None or role is None:
        return ""
    scale = [role.unit, role.aggregate, role.missing, role.higher_is_better]
    return json.dumps([metric, source.judge(metric), *scale], sort_keys=True)


def _headline(source: Source, sort: str | None) -> str | None:
    """The metric that ranks the systems of a report."""
    if sort is not None:
        return sort.partition(":")[0]
    metrics = list(source.metrics.values())
    found = main_metric(metrics) or next(iter(metrics), None)
    return None if found is None else found.name


def _wanted(metrics: Sequence[str], sources: Sequence[Source]) -> list[str]:
    """What becomes a column: what was asked for, else every metric but those that are derived from another and not tested."""
    named = [one for one in metrics if one != ALL]
    if named and ALL not in metrics:
        return named
    known = {name: one for source in sources for name, one in source.metrics.items()}
    return list(dict.fromkeys([*named, *(name for name, one in known.items() if ALL in metrics or one.of is None or one.tested)]))


def _rows(source: Source, columns: Mapping[str, Column], labels: Mapping[Place, Label], average: str) -> Iterator[Row]:
    for system in source.systems:
        values: dict[str, Interval | None] = {}
        own: dict[str, Gain] = {}
        for key, column in columns.items():
            name = column.metric.name
            values[key] = source.figures[system].get(name, {}).get(column.figure)
            told = source.differences.get((system, name))
            difference = None if told is None else told.figures.get(column.figure)
            if told is None or difference is None:
                continue
            test = told.test if column.main and source.average == average else None
            own[key] = Gain(difference=difference, test=test)
        label = labels[source.path, system]
        yield Row(label=label, path=source.path, is_baseline=system == source.baseline, values=values, own=own)


def _merged(rows: Sequence[Row]) -> list[Row]:
    """One row for a base that several runs share, figure by figure."""
    kept: list[Row] = []
    for row in rows:
        twin = next((k for k, one in enumerate(kept) if one.is_baseline and row.is_baseline and _same(one, row)), None)
        if twin is None:
            kept.append(row)
        else:
            kept[twin] = replace(kept[twin], also=(*kept[twin].also, row.label.run))
    return [replace(row, label=_shared_label(row)) if row.also else row for row in kept]


def _shared_label(row: Row) -> Label:
    """Of a base of several runs."""
    return replace(row.label, text=row.label.system, detail=f"the base of {', '.join((row.label.run, *row.also))}")


def _same(one: Row, other: Row) -> bool:
    return one.label.system == other.label.system and one.values == other.values


def _sort_key(block: Block, sort: str | None, best_first: bool) -> str | None:
    if sort is None and not best_first:
        return None
    if sort is None:
        headline = main_metric([column.metric for column in block.columns if column.main]) or block.columns[0].metric
        sort = headline.name
    name, _, figure = sort.partition(":")
    found = [one for one in block.columns if one.metric.name == name and (one.figure == figure if figure else one.main)]
    return found[0].key if found else None


def _sorted(block: Block, key: str) -> list[Row]:
    """Best first; of what is not graded the smallest first; rows without a value last."""
    scale = block.column(key).scale

    def place(row: Row) -> tuple[bool, float]:
        value = row.values.get(key)
        if value is None:
            return True, 0.0
        return False, -value.estimate if scale.higher_is_better and scale.graded else value.estimate

    return sorted(block.rows, key=place)


def _with_paired(block: Block, sources: Sequence[Source], against: str | None, best_first: bool) -> Block:
    """The block with differences between runs, where its reports hold what they need."""
    trained = [row for row in block.rows if not row.is_baseline]
    compared = block.rows if best_first or against is not None else trained
    reference = next(iter(compared), None) if against is None else _called(block, against)
    others = [row for row in compared if row is not reference]
    if reference is None or not others:
        return block
    by_path = {source.path: source for source in sources}
    columns = [one for one in block.columns if one.key in reference.values]
    found = differences_between(
        (by_path[reference.path], reference.label.system),
        {row.label.text: (by_path[row.path], row.label.system) for row in others},
        {row.label.text: _metrics(columns, row) for row in others},
        block.average,
    )
    rows = [replace(row, paired=_gains(columns, row, found.get(row.label.text, {}))) for row in block.rows]
    notes = block.notes
    if not any(row.paired for row in rows):
        notes = (*notes, "Differences between runs need the sums per prompt, which these reports do not hold; make them again.")
    return replace(block, rows=tuple(rows), against=reference.label.text, notes=notes)


def _called(block: Block, name: str) -> Row | None:
    """The row that a name means: its label, run and system, system, or what a run trained; in this order."""
    trained_first = sorted(block.rows, key=lambda row: row.is_baseline)
    ways = len(trained_first[0].label.answers_to)
    return next((row for way in range(ways) for row in trained_first if row.label.answers_to[way] == name), None)


def _metrics(columns: Sequence[Column], row: Row) -> list[MetricRole]:
    """Metrics that a row shares with the reference, each once, where differences can be had of their columns."""
    shared = [one for one in columns if one.key in row.values and one.figure in FIGURES[one.metric.aggregate]]
    return list({one.metric.name: one.metric for one in shared}.values())


def _gains(columns: Sequence[Column], row: Row, found: Mapping[str, Difference]) -> dict[str, Gain]:
    gains: dict[str, Gain] = {}
    for column in columns:
        told = found.get(column.metric.name)
        difference = None if told is None else told.figures.get(column.figure)
        if told is not None and difference is not None and column.key in row.values:
            gains[column.key] = Gain(difference=difference, test=told.test if column.main else None)
    return gains

"""The page of a manifest: its hours by split, language and speaker, how durations and rates are spread, and its faults."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lpo_tts.files import write_atomic
from lpo_tts.manifests.faults import Fault
from lpo_tts.manifests.summary import NO_SPLIT, QUANTILES, Distribution, Summary, length, many
from lpo_tts.report import facts
from lpo_tts.report.figures import Figure
from lpo_tts.report.plots import bars, number, ticks
from lpo_tts.report.templates import environment, style

NUM_BINS = 30
NUM_SPEAKERS = 20  # that are shown by name
NUM_LANGUAGES = 40
NUM_OPEN = 20  # faults that are seen at once; the others unfold
SHOWN = 0.999  # share of the rows within a figure; what lies beyond counts in its last bar
SHOWN_SPEAKERS = 0.95  # the same for speakers, of whom a few often have most of the hours


def render(
    summary: Summary,
    out_path: Path,
    *,
    name: str,
    num_rows: int,
    num_bad: int,
    faults: Sequence[Fault],
    counts: Mapping[str, int],
    notes: Sequence[str],
    speakers: Mapping[int, str],
    made: Mapping[str, Any],
    quick: bool,
) -> Path:
    """Writes the page and returns its path.

    Args:
        summary: sums of the rows that can be read.
        out_path: of the page.
        name: of the manifest.
        num_rows: all rows.
        num_bad: rows with a fault of their own.
        faults: the first ones.
        counts: faults by kind, all of them.
        notes: what is worth knowing and no fault.
        speakers: those with the most audio: place in `summary.speakers` -> name.
        made: what the side-car says; empty where there is none.
        quick: whether no recording was decoded.
    """
    text = (
        environment()
        .get_template("manifest.html.jinja")
        .render(
            name=name,
            headline=list(headline(summary, num_rows, num_bad, sum(counts.values()), quick)),
            notes=notes,
            splits=list(_splits(summary)),
            languages=list(_languages(summary)),
            num_languages=len(summary.by_language()),
            spread=list(_spread(summary)),
            measures=[label for label, _ in _measures(summary)],
            figures=list(_figures(summary)),
            speakers=[_speaker(summary, index, speaker) for index, speaker in speakers.items()],
            num_speakers=len(summary.speakers),
            faults=faults,
            num_faults=sum(counts.values()),
            counts=counts,
            num_open=NUM_OPEN,
            made=list(_made(made)),
            fact=facts.fact,
            style=style(),
        )
    )
    write_atomic(out_path, text.encode())
    return out_path


def headline(summary: Summary, num_rows: int, num_bad: int, num_faults: int, quick: bool) -> Iterator[str]:
    """What a person wants to know first."""
    amounts = [many(num_rows, "row"), length(summary.all.seconds), many(len(summary.speakers), "speaker")]
    yield f"{', '.join(amounts)}, {many(len(summary.by_language()), 'language')}."
    if num_faults:
        bad = f"; {many(num_bad, 'row')} cannot be used as they are" if num_bad else ""
        yield f"{many(num_faults, 'fault')}{bad}."
    elif not num_rows:
        yield "There is no row."
    else:
        yield "Every row is in order." + (" Recordings were not decoded (--quick)." if quick else "")


def _splits(summary: Summary) -> Iterator[list[str]]:
    for split, amount in summary.by_split().items():
        share = 100 * amount.seconds / max(summary.all.seconds, 1e-9)
        yield [split if split != NO_SPLIT else "no split", f"{amount.rows:,}", length(amount.seconds), f"{share:.1f} %"]


def _languages(summary: Summary) -> Iterator[list[str]]:
    for language, amount in list(summary.by_language().items())[:NUM_LANGUAGES]:
        mean = amount.seconds / amount.rows
        share = 100 * amount.seconds / max(summary.all.seconds, 1e-9)
        pace = amount.characters / max(amount.seconds, 1e-9)
        yield [language, f"{amount.rows:,}", length(amount.seconds), f"{share:.1f} %", f"{mean:.2f} s", f"{pace:.1f}"]


def _measures(summary: Summary) -> list[tuple[str, Distribution]]:
    named = [("duration (s)", summary.durations), ("characters per second", summary.paces)]
    return [(label, values) for label, values in named if values.count]


def _spread(summary: Summary) -> Iterator[list[str]]:
    """Quantiles, one in each row, so that the table fits a phone."""
    measures = [values for _, values in _measures(summary)]
    columns = [values.quantiles() for values in measures]
    names = {0.0: "least", 0.5: "median", 1.0: "most"}
    for share, *row in zip(QUANTILES, *columns, strict=True):
        yield [names.get(share, f"{100 * share:g} % have at most"), *map(number, row)]
    yield ["mean", *(f"{values.mean:.2f}" for values in measures)]


def _made(side_car: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the side-car says, without settings that are off."""
    for key, value in side_car.items():
        for inner, one in value.items() if isinstance(value, Mapping) else [("", value)]:
            if one not in (None, False, [], {}, ""):
                yield f"{key}.{inner}" if inner else key, one


def _figures(summary: Summary) -> Iterator[Figure]:
    yield from _histogram(summary.durations, "Rows by duration", "duration (s)", "Rows by their duration in seconds.")
    caption = "Rows by letters and digits per second; a Chinese character counts as one."
    yield from _histogram(summary.paces, "Rows by characters per second", "characters per second", caption)
    minutes = Distribution(0.01)
    for seconds in summary.speakers.seconds:
        minutes.add(seconds / 60)
    if minutes.count > 1:
        caption = "Speakers by the minutes that they have."
        yield from _histogram(minutes, "Speakers by minutes", "minutes", caption, SHOWN_SPEAKERS)


def _histogram(values: Distribution, title: str, label: str, caption: str, share: float = SHOWN) -> Iterator[Figure]:
    if not values.count:
        return
    shown, most = values.quantiles((share, 1.0))
    scale = ticks(0.0, shown or 1.0)
    low, high = scale[0], scale[-1]
    counts = values.bins(NUM_BINS, low, high)
    drawn = [(low + (high - low) * k / NUM_BINS, count) for k, count in enumerate(counts)]
    beyond = f" The last bar holds all beyond it, up to {number(most)}." if most > high else ""
    yield Figure(bars(drawn, (low, high), scale, title, label), caption + beyond)


def _speaker(summary: Summary, index: int, name: str) -> list[str]:
    rows, seconds = summary.speakers.rows[index], summary.speakers.seconds[index]
    share = 100 * seconds / max(summary.all.seconds, 1e-9)
    return [name, f"{rows:,}", length(seconds), f"{share:.1f} %"]

"""The page of the pairs: what the rules found and dropped, how chosen and rejected differ, and some to listen to."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lpo_tts.comparison.pairing import ALL, CHOSEN, REJECTED, HeardPair, Pairing, PairSide, Values
from lpo_tts.comparison.wording import counted
from lpo_tts.files import write_atomic
from lpo_tts.report import facts
from lpo_tts.report.figures import Figure
from lpo_tts.report.plots import line_plot, number, ticks
from lpo_tts.report.templates import environment, style
from lpo_tts.report.words import legend, spelled
from lpo_tts.scale import Scale

GROUPS = (ALL, CHOSEN, REJECTED)
NUM_BINS = 24


def render(
    pairing: Pairing,
    heard: Sequence[HeardPair],
    out_path: Path,
    *,
    name: str,
    dropped: Mapping[str, Mapping[str, int]],
    settings: Mapping[str, Any],
    frame_rate: float | None = None,
) -> Path:
    """Writes the page and returns its path.

    Args:
        pairing: the counts.
        heard: pairs to listen to; audio paths are relative to the page's folder.
        out_path: of the page.
        name: of the system whose pairs they are.
        dropped: rule -> reason -> count.
        settings: of the step.
        frame_rate: frames per second of the codec; None = lengths are given in frames.
    """
    text = (
        environment()
        .get_template("pairs.html.jinja")
        .render(
            pairing=pairing,
            heard=heard,
            name=name,
            dropped=facts.flat(dropped),
            settings=settings,
            groups=GROUPS,
            headline=list(headline(pairing)),
            means=list(_means(pairing, frame_rate)),
            length_note=length_note(pairing),
            figures=list(_figures(pairing, frame_rate)) if pairing.num_pairs else [],
            under=lambda side: _under(side, pairing.scales),
            style=style(),
            counted=counted,
            spelled=spelled,
            legend=legend,
            audio_url=facts.audio_url,
            fact=facts.fact,
        )
    )
    write_atomic(out_path, text.encode())
    return out_path


def headline(pairing: Pairing) -> Iterator[str]:
    """What a person wants to know first."""
    fruitful = pairing.num_prompts - pairing.pairs_per_prompt[0]
    share = 100 * fruitful / max(pairing.num_prompts, 1)
    yield (
        f"{counted(pairing.num_pairs, 'pair')} came out of {counted(pairing.num_candidates, 'candidate')} of "
        f"{counted(pairing.num_prompts, 'prompt')}; {share:.0f} % of the prompts have a pair."
    )
    if pairing.num_unfinished:
        share = 100 * pairing.num_unfinished / max(pairing.num_candidates, 1)
        yield f"{counted(pairing.num_unfinished, 'candidate')} ({share:.1f} %) did not end by themselves."


def length_note(pairing: Pairing) -> str:
    """Whether the pairs teach a length; "" where there are none."""
    chosen, rejected = (pairing.frames.get(group, Values()).mean for group in (CHOSEN, REJECTED))
    if not chosen or not rejected:
        return ""
    ratio = 100 * (chosen / rejected - 1)
    pairs = counted(sum(pairing.longer.values()), "pair")
    return (
        f"Chosen candidates are {abs(ratio):.1f} % {'longer' if ratio > 0 else 'shorter'} than rejected ones on average. "
        f"The chosen one is the longer one in {pairing.longer[CHOSEN]} of {pairs}, the rejected one in "
        f"{pairing.longer[REJECTED]}. A model may learn such a difference along with the words."
    )


def _means(pairing: Pairing, frame_rate: float | None) -> Iterator[list[str]]:
    for metric, groups in pairing.scores.items():
        scale = pairing.scales[metric]
        cells = [scale.text(groups[group].mean if group in groups else None) for group in GROUPS]
        yield [metric, *cells, str(pairing.unscorable[metric])]
    lengths = [pairing.frames[group].mean if group in pairing.frames else None for group in GROUPS]
    unit = "s" if frame_rate else "frames"
    yield [f"length ({unit})", *("–" if one is None else f"{one / (frame_rate or 1):.2f}" for one in lengths), ""]


def _figures(pairing: Pairing, frame_rate: float | None) -> Iterator[Figure]:
    for metric, groups in pairing.scores.items():
        scale = pairing.scales[metric]
        named = {group: [scale.scaled(value) for value in groups[group].kept] for group in GROUPS if group in groups}
        yield _shares(named, f"Distribution of {metric}", f"{metric}{scale.suffix and f' ({scale.unit})'}")
    named = {
        group: [one / (frame_rate or 1) for one in pairing.frames[group].kept] for group in GROUPS if group in pairing.frames
    }
    yield _shares(named, "Distribution of lengths", f"length ({'s' if frame_rate else 'frames'})")


def _shares(groups: Mapping[str, Sequence[float]], title: str, label: str) -> Figure:
    """Share of each group by value, in bins that all groups have in common."""
    values = [value for group in groups.values() for value in group]
    scale = ticks(min(values), max(values))
    low, width = scale[0], (scale[-1] - scale[0]) / NUM_BINS
    lines = []
    for group, own in groups.items():
        counts = [0] * NUM_BINS
        for value in own:
            counts[min(NUM_BINS - 1, int((value - low) / width))] += 1
        lines.append((group, [(low + (k + 0.5) * width, 100 * count / len(own)) for k, count in enumerate(counts)]))
    shown = float(f"{width:.3g}")
    caption = f"{title}: share of each group in %, in {NUM_BINS} bins of {number(shown)}."
    return Figure(line_plot(lines, title, label), caption)


def _under(side: PairSide, scales: Mapping[str, Scale]) -> str:
    parts = [f"{name} {scales[name].text(value)}" for name, value in side.values.items()]
    parts += [] if side.duration is None else [f"{side.duration:.2f} s"]
    return " · ".join([*parts, *side.notes])

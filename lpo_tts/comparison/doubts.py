"""What stands between runs that are to be compared: other prompts, judges with other settings, other averages."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lpo_tts.comparison.reports import Source
from lpo_tts.comparison.wording import counted
from lpo_tts.config import differences

MAX_TOLD = 6  # differences between two judges that a note spells out


def other_judge(metric: str, label: str, first: Any, other: Any, run: str) -> str:
    """Why a metric has a second column: its judge's settings differ; `first` and `other` are those."""
    lines = differences(first, other) or ["another way to count"]
    told = "; ".join(lines[:MAX_TOLD]) + ("; ..." if len(lines) > MAX_TOLD else "")
    return f"{label}: in {run} the judge {metric!r} has other settings, so it has a column of its own ({told})."


def doubts(sources: Sequence[Source], runs: Mapping[Path, str]) -> Iterator[str]:
    """What differs between the runs of a block though the prompts are the same."""
    first = sources[0]
    if first.prompts_hash is None:
        yield "The report names no prompts, so nobody can say which other runs it may be compared with."
    if not first.judges and any(source.judges for source in sources):
        yield "Not every report tells the settings of its judges; columns are joined by name where they do not."
    for source in sources[1:]:
        run = runs[source.path]
        if source.average != first.average:
            yield (
                f"{run}: its own tests speak of the {source.average} average, this table of the {first.average} one; "
                "its p and verdicts are left out."
            )
        if source.split != first.split:
            splits = [repr(one.split or "none") for one in (source, first)]
            yield f"{run}: its prompts are called the split {splits[0]}, those of the first run {splits[1]}."
        if source.bootstrap.confidence != first.bootstrap.confidence:
            confidences = [f"{100 * one.bootstrap.confidence:g} %" for one in (source, first)]
            yield f"{run}: its intervals are of {confidences[0]} confidence, those of the first of {confidences[1]}."
        if source.num_seeds != first.num_seeds:
            yield f"{run}: {counted(source.num_seeds, 'candidate')} per prompt, in the first run {first.num_seeds}."


def why_apart(groups: Sequence[Sequence[Source]], runs: Mapping[Path, str]) -> Iterator[str]:
    """Why there is more than one block."""
    first = groups[0][0]
    for group in groups[1:]:
        other = group[0]
        if other.prompts_hash == first.prompts_hash and first.prompts_hash is not None:
            names = ", ".join(runs[source.path] for source in group)
            yield f"{names}: the same prompts as in the first block, by a judge with other settings; so the ranking is another."
            continue
        names = ", ".join(runs[source.path] for source in group)
        shared = sum(name in other.prompts and other.prompts[name].text == one.text for name, one in first.prompts.items())
        split = "" if other.split == first.split else f", split {other.split or 'none'!r} and not {first.split or 'none'!r}"
        yield (
            f"{names}: {counted(other.num_prompts, 'prompt')}, of which {shared} are those of the first block{split}; figures of "
            "different prompts cannot be compared, so these runs have a block of their own."
        )

"""The verdicts of a report on degraded copies against those that are right."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.copies import CLEAN, Measure
from lpo_tts.comparison.wording import difference_text
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.files import read_object
from lpo_tts.scale import Scale
from lpo_tts.statistics import Interval

TITLES: dict[str, Measure] = {  # what a metric measures, by its title in the report
    "word error rate": "words",
    "character error rate": "words",
    "speaker similarity": "voice",
    "speaker similarity to the codec copy": "voice",
    "good endings": "ending",
    "repeated runs of words": "repetition",
}
QUALITY = ("quality", "naturalness")  # in the titles of predictors of quality
ACCEPTED = {  # promise -> verdicts that keep it
    "worse": {"worse"},
    "same": {"equivalent", "not worse", "no difference shown", "too few prompts"},
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a report says of one kind of copy by one metric, and what was promised (None: nothing was).

    `small` says that the whole interval of the difference lies within the judge's margin: certain, and of no importance.
    """

    kind: str
    metric: str
    promise: str | None
    verdict: str
    difference: str
    holm_p: float | None
    equivalence_p: float | None
    small: bool

    @property
    def kept(self) -> bool:
        """Whether the verdict is right, or nothing was promised."""
        if self.promise is None or self.verdict in ACCEPTED[self.promise]:
            return True
        return self.promise == "same" and self.small


def found_in(copies: Mapping[str, Any], report: Mapping[str, Any], where: str) -> Iterator[Found]:
    """A row for every difference of a copy from the clean one.

    Args:
        copies: `copies` of degrade.json.
        report: report.json.
        where: its path, for messages.

    Raises:
        ArtefactError: the report has another baseline, or misses what a report has.
    """
    if report.get("baseline") != CLEAN:
        raise ArtefactError(f"{where}: expected a comparison with {CLEAN}, found the baseline {report.get('baseline')!r}")
    try:
        roles = {role["name"]: role for role in report["metrics"] if not role.get("of")}
        for row in report["differences"]:
            role = roles.get(row["metric"])
            if role is None or row["system"] not in copies:
                continue
            measure = measure_of(role["title"])
            interval, test = row["difference"], row.get("test") or {}
            scale = Scale(higher_is_better=role["higher_is_better"], unit=role["unit"], graded=role["graded"])
            yield Found(
                kind=row["system"],
                metric=role["label"],
                promise=copies[row["system"]]["expected"].get(measure) if measure else None,
                verdict=test.get("verdict") or verdict_of(interval, scale),
                difference=difference_text(Interval(**interval), scale),
                holm_p=test.get("holm_p"),
                equivalence_p=test.get("equivalence_p"),
                small=_small(interval, test.get("margin")),
            )
    except (KeyError, TypeError, AttributeError, ConfigError) as error:
        raise ArtefactError(f"{where}: expected a report.json of this project, found none ({error!r})") from error


def measure_of(title: str) -> Measure | None:
    """What a metric measures; None where nothing is promised of it."""
    return TITLES.get(title) or ("quality" if any(word in title for word in QUALITY) else None)


def verdict_of(interval: Mapping[str, Any], scale: Scale) -> str:
    """By the interval alone, for a report without tests."""
    low, high = interval["low"], interval["high"]
    if low is None or high is None:
        return "too few prompts"
    if low <= 0 <= high:
        return "no difference shown"
    if not scale.graded:
        return "different"
    return "better" if (low > 0) == scale.higher_is_better else "worse"


def _small(interval: Mapping[str, Any], margin: float | None) -> bool:
    ends = [interval[end] for end in ("low", "high")]
    return margin is not None and None not in ends and max(map(abs, ends)) < margin


def table(rows: Sequence[Found]) -> list[str]:
    """Markdown."""
    lines = ["| copy | judge | difference from clean | p, Holm | p, TOST | verdict | promised | |"]
    lines.append("|---|---|---:|---:|---:|---|---|---|")
    for row in rows:
        ps = " | ".join(map(_p, (row.holm_p, row.equivalence_p)))
        mark = "" if row.promise is None else "kept" if row.kept else "**broken**"
        lines.append(f"| {row.kind} | {row.metric} | {row.difference} | {ps} | {row.verdict} | {row.promise or '–'} | {mark} |")
    return lines


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def check_reports(side_car: Path, reports: Sequence[Path]) -> int:
    """Prints the verdicts of reports beside the right ones; 1 when one is wrong, else 0.

    Raises:
        ArtefactError: a file is missing or no such file, or no verdict of a report can be compared.
    """
    copies = read_object(side_car).get("copies")
    if not isinstance(copies, dict) or not copies:
        raise ArtefactError(f"{side_car}: expected the side-car of degraded copies, found another file; check --out")
    rows: list[Found] = []
    for report in reports:
        own = list(found_in(copies, read_object(report), str(report)))
        if all(row.promise is None for row in own):
            raise ArtefactError(f"{report}: expected differences of {', '.join(copies)} by judges of words or voices, found none")
        rows += own
    print("\n".join(table(rows)))
    promised = [row for row in rows if row.promise is not None]
    broken = [row for row in promised if not row.kept]
    print(f"\n{len(promised) - len(broken)} of {len(promised)} promised verdicts are right", file=sys.stderr)
    return 1 if broken else 0

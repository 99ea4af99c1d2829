"""Token weights from wrongly heard words: settings, and the table that the step pair makes beside its pairs."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lpo_tts import artefacts
from lpo_tts.asr.hearing import Spot
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ArtefactError
from lpo_tts.records import LabelledCandidate, PreferencePair, Score, TokenWeights
from lpo_tts.steps.candidates import iterate_candidates
from lpo_tts.steps.faults import Fault, counterpart, faults, in_frames
from lpo_tts.steps.progress import log
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.token_weights import TABLE

if TYPE_CHECKING:
    from lpo_tts.recipe import System


@dataclass(frozen=True)
class WeightSettings:
    """How much the tokens of wrong words weigh in what is learnt from a pair or a labelled candidate.

    Attributes:
        metric: the score whose judge says when each word was heard: a word error rate with its setting `times`, or `ending`,
            whose bad ends count from the end of the last word to the end of the answer.
        inside: weight of the tokens of wrong words.
        outside: weight of all other tokens of the same answer; 0 leaves them out.
        margin: seconds before and after a wrong word that count as part of it; a word that is not said has no tokens of its
            own, so at least one frame on either side of the gap counts.
        onset_to_end: whether a repetition, words missing at the end, and words added at the end count from their onset to the end
            of the answer (FPO, arXiv 2502.02950); all other faults count for as long as they last.
        sides: "rejected" weighs the rejected answer alone, and every token of the chosen one counts; with "both", the same words
            of the chosen answer are weighed alike.
    """

    metric: str = "wer"
    inside: float = 1.0
    outside: float = 0.0
    margin: float = 0.05
    onset_to_end: bool = True
    sides: Literal["rejected", "both"] = "rejected"

    bounds = {"inside": above(0), "outside": at_least(0), "margin": at_least(0)}

    def __post_init__(self) -> None:
        check_settings(self, "weights")


def plan(run: Run, system: "System") -> Plan | None:
    """weights.jsonl of a system before it is made; None where its recipe asks for none."""
    settings = system.pair.weights
    if settings is None:
        return None
    return Plan(system.folder / TABLE, "pair", {"weights": run.plain(settings), "codec": run.parts_identity()["codec"]})


def make(run: Run, system: "System") -> None:
    """Writes weights.jsonl of a system, where its recipe asks for it: a row for each answer of its pairs with wrong words.

    Raises:
        ArtefactError: no answer gets a weight, such as where the scores have no times.
    """
    settings, planned = system.pair.weights, plan(run, system)
    if settings is None or planned is None:
        return
    scores = run.scores_path(settings.metric)
    inputs = {
        "pairs": artefacts.digest_of(system.folder / "pairs.jsonl"),
        "candidates": artefacts.digest_of(run.candidates_path),
        f"scores-{settings.metric}": artefacts.digest_of(scores),
    }
    artefact, done = run.prepare(planned, inputs)
    if done:
        return
    preferences = list(_preferences(system.folder))
    wanted = {name for _, chosen, rejected in preferences for name in (chosen, rejected)}
    spots = dict(_spots(scores, wanted))
    frames = {row.id: row.num_frames for row in iterate_candidates(run.candidates_path) if row.id in wanted}
    rate = run.frame_rate
    counts: Counter[str] = Counter()
    with artefacts.table_writer(artefact.path) as write:
        for preference, chosen, rejected in preferences:
            rows, reason = weights_of(settings, preference, chosen, rejected, spots, frames, rate)
            counts.update({"rows": len(rows), reason or "weighed": 1})
            for row in rows:
                write(row)
        if not counts["rows"]:
            raise ArtefactError(
                f"pair: no answer of {run.show(system.folder / 'pairs.jsonl')} gets token weights: {dict(counts)}; "
                f"the scores need times (score.metrics.{settings.metric}.times: true, then --redo score) and wrong words"
            )
    artefact.finish(**counts)
    log.info("pair: token weights of %d answers; of the pairs and labels: %s", counts.pop("rows"), dict(counts))


def weights_of(
    settings: WeightSettings,
    preference: str,
    chosen: str,
    rejected: str,
    spots: Mapping[str, Sequence[Spot]],
    frames: Mapping[str, int],
    rate: float,
) -> tuple[list[TokenWeights], str]:
    """The rows of one pair or labelled candidate, and why there are none; "" where there are.

    Args:
        settings: what weighs how much.
        preference: its id.
        chosen: id of the better answer; "" for a labelled candidate.
        rejected: id of the answer whose faults count; "" for a desirable candidate.
        spots: what was heard when, by candidate; those without times are left out.
        frames: of every candidate that was sampled.
        rate: frames per second.
    """
    if not rejected:
        return [], "desirable, all tokens alike"
    if rejected not in spots or not frames.get(rejected):
        return [], "no times"
    found = faults(spots[rejected], onset_to_end=settings.onset_to_end)
    if not found:
        return [], "no wrong word"

    def row(candidate_id: str, stretches: Iterable[Fault]) -> TokenWeights:
        spans = in_frames(stretches, settings.margin, rate, frames[candidate_id])
        weighed = tuple((first, end, settings.inside) for first, end in spans)
        return TokenWeights(candidate_id=candidate_id, spans=weighed, rest=settings.outside, preference=preference)

    rows = [row(rejected, found)]
    if settings.sides == "both" and chosen in spots and frames.get(chosen):
        same = [own for fault in found if (own := counterpart(fault, spots[chosen])) is not None]
        if len(same) == len(found):
            rows.insert(0, row(chosen, same))
    return rows, ""


def _preferences(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(id, chosen, rejected) of the pairs, and of the labelled candidates with "" in the place of the other one."""
    for pair in artefacts.iterate_rows(folder / "pairs.jsonl", PreferencePair):
        yield pair.id, pair.chosen, pair.rejected
    labels = folder / "labels.jsonl"
    for label in artefacts.iterate_rows(labels, LabelledCandidate) if labels.exists() else ():
        chosen, rejected = (label.candidate, "") if label.desirable else ("", label.candidate)
        yield label.id, chosen, rejected


def _spots(path: Path, wanted: Container[str]) -> Iterator[tuple[str, tuple[Spot, ...]]]:
    for score in artefacts.iterate_rows(path, Score):
        found = score.detail.get("spots")
        if score.candidate_id in wanted and found is not None:
            try:
                yield score.candidate_id, tuple(Spot(*one) for one in found)
            except TypeError as error:
                raise ArtefactError(
                    f"{path}: candidate {score.candidate_id!r}: detail.spots: expected [kind, said, heard, start, end] each, "
                    f"found {str(found)[:80]}"
                ) from error

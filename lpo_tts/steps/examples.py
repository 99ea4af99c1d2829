"""Pairs as the token ids the trainer learns from: what reference and train both read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lpo_tts import artefacts
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.records import LabelledCandidate, PreferencePair, RankedList, Split
from lpo_tts.rules import REGISTRY
from lpo_tts.rules.base import Ranking
from lpo_tts.rules.selection import scored
from lpo_tts.steps.candidates import TARGET, Sampled, iterate_candidates, read_wanted
from lpo_tts.steps.scores import ScoreReader, groups
from lpo_tts.steps.world import World
from lpo_tts.training.examples import AnswerExample, ListExample, PairExample


def read_examples(
    world: World, folder: Path, segments: Mapping[str, tuple[int, ...]] | None = None
) -> tuple[list[PairExample], list[PairExample]]:
    """Pairs of a folder as token ids, (train, dev).

    Args:
        world: the run folder.
        folder: where pairs.jsonl lies.
        segments: aspect of a pair -> the slots of a frame whose tokens count; the end token always does.

    Raises:
        ArtefactError: a pair names a candidate there is none of.
    """
    pairs = artefacts.read_rows(folder / "pairs.jsonl", PreferencePair)
    if not pairs:
        raise ArtefactError(
            f"{folder / 'pairs.jsonl'}: no pairs, from which this loss learns; name a rule in `pair.rules` that finds pairs"
        )
    known = _candidates(world, {name for pair in pairs for name in (pair.chosen, pair.rejected)})
    examples: dict[str, list[PairExample]] = {"train": [], "dev": [], "test": []}
    for number, pair in enumerate(pairs, 1):
        missing = [name for name in (pair.chosen, pair.rejected) if name not in known]
        if missing:
            raise ArtefactError(
                f"{folder / 'pairs.jsonl'}:{number}: no candidate {missing[0]!r} in {world.candidates_path}; run pair again"
            )
        chosen, rejected = known[pair.chosen], known[pair.rejected]
        slots = (segments or {}).get(pair.aspect)
        weights = [None if slots is None else _counted(world, one, slots) for one in (chosen, rejected)]
        examples[pair.split].append(
            PairExample(pair.id, chosen.prompt_ids, chosen.token_ids, rejected.token_ids, pair.margins, pair.aspect, *weights)
        )
    return examples["train"], examples["dev"]


def _candidates(world: World, ids: set[str]) -> dict[str, Sampled]:
    known = {one.row.id: one for one in read_wanted(world.candidates_path, ids)}
    if len(known) < len(ids) and world.targets_path.exists():
        known |= {one.row.id: one for one in read_wanted(world.targets_path, ids)}
    return known


def _counted(world: World, sampled: Sampled, slots: Sequence[int]) -> Tensor:
    """(num_tokens,) 1.0 where a token stands in one of these slots of its frame, or ends the answer."""
    width = len(getattr(world.backbone, "slots", (0,)))
    outside = [slot for slot in slots if not 0 <= slot < width]
    if outside:
        raise ConfigError(
            f"train.segments: slot {outside[0]} does not exist; a frame of this model has the slots 0 to {width - 1}"
        )
    counted = torch.isin(torch.arange(len(sampled.token_ids)) % width, torch.tensor(list(slots))).float()
    if sampled.row.finished:
        counted[-1] = 1.0
    return counted


def read_labels(world: World, folder: Path) -> tuple[list[AnswerExample], list[AnswerExample]] | None:
    """Labelled candidates of a folder as token ids, (train, dev); None where its rules labelled none.

    Raises:
        ArtefactError: a label names a candidate there is none of.
    """
    path = folder / "labels.jsonl"
    if not path.exists():
        return None
    rows = artefacts.read_rows(path, LabelledCandidate)
    known = _candidates(world, {row.candidate for row in rows})
    examples: dict[str, list[AnswerExample]] = {"train": [], "dev": [], "test": []}
    for row in rows:
        one = _known(known, row.candidate, path, world)
        examples[row.split].append(AnswerExample(row.id, one.prompt_ids, one.token_ids, row.desirable))
    return examples["train"], examples["dev"]


def read_lists(world: World, folder: Path, metric: str, higher_is_better: bool) -> tuple[list[ListExample], list[ListExample]]:
    """Ranked candidates of a folder as token ids, (train, dev).

    Where no rule ranked any, the prompts that have a pair are ranked by a score, as the rule `ranked` does.

    Args:
        world: the run folder.
        folder: where lists.jsonl or pairs.jsonl lies.
        metric: the score, for folders without lists.
        higher_is_better: its direction.

    Raises:
        ArtefactError: there is no list to train on, or one names a candidate there is none of.
    """
    path = folder / "lists.jsonl"
    rows = artefacts.read_rows(path, RankedList) if path.exists() else list(_ranked(world, folder, metric, higher_is_better))
    known = _candidates(world, {name for row in rows for name in row.candidates})
    lists: dict[str, list[ListExample]] = {"train": [], "dev": [], "test": []}
    for row in rows:
        ranked = [_known(known, name, path, world) for name in row.candidates]
        answers = tuple(one.token_ids for one in ranked)
        lists[row.split].append(ListExample(row.id, ranked[0].prompt_ids, answers, row.scores))
    if not lists["train"]:
        raise ArtefactError(f"{world.scores_path(metric)}: no prompt has two finished candidates of different score; sample more")
    return lists["train"], lists["dev"]


def _known(known: Mapping[str, Sampled], name: str, path: Path, world: World) -> Sampled:
    if name not in known:
        raise ArtefactError(f"{path}: no candidate {name!r} in {world.candidates_path}; run pair again")
    return known[name]


def _ranked(world: World, folder: Path, metric: str, higher_is_better: bool) -> Iterator[RankedList]:
    pairs = artefacts.iterate_rows(folder / "pairs.jsonl", PreferencePair)
    splits: dict[str, Split] = {pair.prompt_id: pair.split for pair in pairs}
    rule, reader = REGISTRY.get("ranked")(metric), ScoreReader(world.scores_path(metric))
    for group in groups(iterate_candidates(world.candidates_path)):
        scores = {metric: {row.id: reader.get(row.id) for row in group}}
        prompt_id = group[0].prompt_id
        usable = [scored(rule, row, scores, {metric: higher_is_better}) for row in group]
        for found in rule.match([one for one in usable if one is not None]):
            if isinstance(found, Ranking) and prompt_id in splits:
                ids = tuple(one.candidate.id for one in found.candidates)
                labels = tuple(one.label for one in found.candidates)
                yield RankedList(id=prompt_id, prompt_id=prompt_id, candidates=ids, scores=labels, split=splits[prompt_id])
    reader.close()


def reference_inputs(world: World, folder: Path) -> dict[str, str]:
    """Hashes of what reference and train both read."""
    inputs = {
        "model": world.model_identity(),
        "pairs": artefacts.digest_of(folder / "pairs.jsonl"),
        "candidates": artefacts.digest_of(world.candidates_path),
    }
    # Only pairs that name a recording depend on the recordings, which another system of the run folder may have made.
    if any(pair.chosen.endswith(TARGET) for pair in artefacts.iterate_rows(folder / "pairs.jsonl", PreferencePair)):
        inputs["targets"] = artefacts.digest_of(world.targets_path)
    return inputs

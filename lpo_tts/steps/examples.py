"""Pairs as the token ids the trainer learns from: what reference and train both read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lpo_tts import artefacts
from lpo_tts.backbones.base import END, TokenMap
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.records import PreferencePair, Score
from lpo_tts.steps.candidates import TARGET, Sampled, read_parts
from lpo_tts.steps.world import World
from lpo_tts.training.examples import ListExample, PairExample


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
    known = _candidates(world, pairs)
    token_map = world.backbone.token_map() if segments else None
    examples: dict[str, list[PairExample]] = {"train": [], "dev": [], "test": []}
    for number, pair in enumerate(pairs, 1):
        missing = [name for name in (pair.chosen, pair.rejected) if name not in known]
        if missing:
            raise ArtefactError(
                f"{folder / 'pairs.jsonl'}:{number}: no candidate {missing[0]!r} in {world.candidates_path}; run pair again"
            )
        chosen, rejected = known[pair.chosen], known[pair.rejected]
        slots = (segments or {}).get(pair.aspect)
        weights = [
            None if slots is None or token_map is None else _in_slots(token_map, one.tokens, slots) for one in (chosen, rejected)
        ]
        examples[pair.split].append(
            PairExample(
                pair.id,
                chosen.prompt.tokens,
                chosen.tokens,
                rejected.tokens,
                pair.margins,
                pair.aspect,
                *weights,
                features=chosen.prompt.features,
            )
        )
    return examples["train"], examples["dev"]


def _candidates(world: World, pairs: Sequence[PreferencePair]) -> dict[str, Sampled]:
    known = {one.row.id: one for one in read_parts(world.candidates_path)}
    if any(pair.chosen not in known or pair.rejected not in known for pair in pairs) and world.targets_path.exists():
        known |= {one.row.id: one for one in read_parts(world.targets_path)}
    return known


def _in_slots(token_map: TokenMap, answer: Tensor, slots: Sequence[int]) -> Tensor:
    """(steps, streams) 1.0 where an entry stands in one of these slots of its frame, or ends the answer."""
    width = token_map.num_slots
    outside = [slot for slot in slots if not 0 <= slot < width]
    if outside:
        raise ConfigError(
            f"train.segments: slot {outside[0]} does not exist; a frame of this model has the slots 0 to {width - 1}"
        )
    return torch.isin(token_map.places(answer).slot, torch.tensor([*slots, END])).float()


def read_lists(world: World, folder: Path, metric: str, higher_is_better: bool) -> tuple[list[ListExample], list[ListExample]]:
    """For every prompt that has a pair, all its finished candidates from best to worst by a score, (train, dev).

    Of candidates with equal scores the first one counts. Labels lie in [0, 1]: an error e becomes 1 - min(e, 1).
    """
    pairs = artefacts.read_rows(folder / "pairs.jsonl", PreferencePair)
    splits = {pair.prompt_id: pair.split for pair in pairs}
    values = {row.candidate_id: row.value for row in artefacts.read_rows(world.scores_path(metric), Score)}
    groups: dict[str, dict[float, Sampled]] = defaultdict(dict)
    for one in read_parts(world.candidates_path):
        value = values.get(one.row.id)
        if one.row.prompt_id in splits and value is not None and one.row.finished and len(one.tokens):
            label = min(max(value if higher_is_better else 1 - value, 0.0), 1.0)
            groups[one.row.prompt_id].setdefault(label, one)
    lists: dict[str, list[ListExample]] = {"train": [], "dev": [], "test": []}
    for prompt, ranked in groups.items():
        order = sorted(ranked, reverse=True)
        if len(order) > 1:
            answers, inputs = tuple(ranked[label].tokens for label in order), ranked[order[0]].prompt
            example = ListExample(prompt, inputs.tokens, answers, tuple(order), features=inputs.features)
            lists[splits[prompt]].append(example)
    if not lists["train"]:
        raise ArtefactError(f"{world.scores_path(metric)}: no prompt has two finished candidates of different score; sample more")
    return lists["train"], lists["dev"]


def reference_inputs(world: World, folder: Path) -> dict[str, str]:
    """Hashes of what reference and train both read."""
    inputs = {
        "model": world.model_identity(),
        "pairs": artefacts.digest_of(folder / "pairs.jsonl"),
        "candidates": artefacts.digest_of(world.candidates_path),
    }
    # Only pairs that name a recording depend on the recordings, which another system of the run folder may have made.
    if any(pair.chosen.endswith(TARGET) for pair in artefacts.read_rows(folder / "pairs.jsonl", PreferencePair)):
        inputs["targets"] = artefacts.digest_of(world.targets_path)
    return inputs

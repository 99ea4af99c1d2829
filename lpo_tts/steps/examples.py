"""Pairs as the token ids the trainer learns from: what reference and train both read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lpo_tts import artefacts
from lpo_tts.backbones.base import END, TokenMap
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.records import LabelledCandidate, PreferencePair, RankedList, Split
from lpo_tts.rules import REGISTRY
from lpo_tts.rules.base import Ranking
from lpo_tts.rules.selection import scored
from lpo_tts.steps.candidates import TARGET, Sampled, iterate_candidates, read_wanted
from lpo_tts.steps.run import Run
from lpo_tts.steps.scores import ScoreReader, groups
from lpo_tts.steps.token_weights import WeightTable, read_table
from lpo_tts.training.examples import AnswerExample, Example, ListExample, PairExample

if TYPE_CHECKING:
    from lpo_tts.recipe import System


def training_examples(run: Run, system: "System") -> tuple[Sequence[Example], Sequence[Example]]:
    """What a system's loss learns from, (train, dev): pairs, labelled candidates or ranked lists, as the pair rules found them.

    Losses of labelled candidates take pairs where no rule labelled any; listwise losses rank the prompts that have a pair.

    Raises:
        ConfigError: `train.list_metric` is not scored.
    """
    settings, directions = system.train, run.recipe.directions
    data = settings.loss.data
    table = read_table(run, system)
    labelled = read_labels(run, system.folder, table) if data == "unpaired" else None
    if labelled is not None:
        return labelled
    if data != "list":
        return read_examples(run, system.folder, settings.segments, table)
    if settings.list_metric not in directions:
        raise ConfigError(
            f"train.list_metric: {settings.list_metric!r} is not scored by this recipe; it has {', '.join(directions)}"
        )
    return read_lists(run, system.folder, settings.list_metric, directions[settings.list_metric])


def read_examples(
    run: Run, folder: Path, segments: Mapping[str, tuple[int, ...]] | None = None, table: WeightTable | None = None
) -> tuple[list[PairExample], list[PairExample]]:
    """Pairs of a folder as token ids, (train, dev).

    Args:
        run: the run folder.
        folder: where pairs.jsonl lies.
        segments: aspect of a pair -> the slots of a frame whose tokens count; the end token always does.
        table: token weights. Where a segment is named too, they are multiplied.

    Raises:
        ArtefactError: a pair names a candidate there is none of, or weights do not fit their candidate.
    """
    pairs = artefacts.read_rows(folder / "pairs.jsonl", PreferencePair)
    if not pairs:
        raise ArtefactError(
            f"{folder / 'pairs.jsonl'}: no pairs, from which this loss learns; name a rule in `pair.rules` that finds pairs"
        )
    known = _candidates(run, {name for pair in pairs for name in (pair.chosen, pair.rejected)})
    token_map = run.backbone.token_map() if segments else None
    examples: dict[str, list[PairExample]] = {"train": [], "dev": [], "test": []}
    for number, pair in enumerate(pairs, 1):
        missing = [name for name in (pair.chosen, pair.rejected) if name not in known]
        if missing:
            raise ArtefactError(
                f"{folder / 'pairs.jsonl'}:{number}: no candidate {missing[0]!r} in {run.candidates_path}; run pair again"
            )
        chosen, rejected = known[pair.chosen], known[pair.rejected]
        slots = (segments or {}).get(pair.aspect)
        sides = (("chosen", chosen), ("rejected", rejected))
        columns: dict[str, Tensor | None] = {}
        if table is not None:
            columns = table.columns(pair.id, [(name, one.row.id, one.tokens) for name, one in sides])
        if slots is not None and token_map is not None:
            for name, one in sides:
                own, segment = columns.get(f"{name}_weights"), _in_slots(token_map, one.tokens, slots)
                columns[f"{name}_weights"] = segment if own is None else own * segment
        examples[pair.split].append(
            PairExample(
                pair.id,
                chosen.prompt.tokens,
                chosen.tokens,
                rejected.tokens,
                pair.margins,
                pair.aspect,
                **columns,
                features=chosen.prompt.features,
            )
        )
    return examples["train"], examples["dev"]


def _candidates(run: Run, ids: set[str]) -> dict[str, Sampled]:
    known = {one.row.id: one for one in read_wanted(run.candidates_path, ids)}
    if len(known) < len(ids) and run.targets_path.exists():
        known |= {one.row.id: one for one in read_wanted(run.targets_path, ids)}
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


def read_labels(
    run: Run, folder: Path, table: WeightTable | None = None
) -> tuple[list[AnswerExample], list[AnswerExample]] | None:
    """Labelled candidates of a folder as token ids, (train, dev); None where its rules labelled none.

    Raises:
        ArtefactError: a label names a candidate there is none of, or weights do not fit their candidate.
    """
    path = folder / "labels.jsonl"
    if not path.exists():
        return None
    rows = artefacts.read_rows(path, LabelledCandidate)
    known = _candidates(run, {row.candidate for row in rows})
    examples: dict[str, list[AnswerExample]] = {"train": [], "dev": [], "test": []}
    for row in rows:
        one = _known(known, row.candidate, path, run)
        columns = {} if table is None else table.columns(row.id, [("answer", row.candidate, one.tokens)])
        examples[row.split].append(
            AnswerExample(row.id, one.prompt.tokens, one.tokens, row.desirable, **columns, features=one.prompt.features)
        )
    return examples["train"], examples["dev"]


def read_lists(run: Run, folder: Path, metric: str, higher_is_better: bool) -> tuple[list[ListExample], list[ListExample]]:
    """Ranked candidates of a folder as token ids, (train, dev).

    Where no rule ranked any, the prompts that have a pair are ranked by a score, as the rule `ranked` does.

    Args:
        run: the run folder.
        folder: where lists.jsonl or pairs.jsonl lies.
        metric: the score, for folders without lists.
        higher_is_better: its direction.

    Raises:
        ArtefactError: there is no list to train on, or one names a candidate there is none of.
    """
    path = folder / "lists.jsonl"
    rows = artefacts.read_rows(path, RankedList) if path.exists() else list(_ranked(run, folder, metric, higher_is_better))
    known = _candidates(run, {name for row in rows for name in row.candidates})
    lists: dict[str, list[ListExample]] = {"train": [], "dev": [], "test": []}
    for row in rows:
        ranked = [_known(known, name, path, run) for name in row.candidates]
        answers = tuple(one.tokens for one in ranked)
        inputs = ranked[0].prompt
        lists[row.split].append(ListExample(row.id, inputs.tokens, answers, row.scores, features=inputs.features))
    if not lists["train"]:
        raise ArtefactError(f"{run.scores_path(metric)}: no prompt has two finished candidates of different score; sample more")
    return lists["train"], lists["dev"]


def _known(known: Mapping[str, Sampled], name: str, path: Path, run: Run) -> Sampled:
    if name not in known:
        raise ArtefactError(f"{path}: no candidate {name!r} in {run.candidates_path}; run pair again")
    return known[name]


def _ranked(run: Run, folder: Path, metric: str, higher_is_better: bool) -> Iterator[RankedList]:
    pairs = artefacts.iterate_rows(folder / "pairs.jsonl", PreferencePair)
    splits: dict[str, Split] = {pair.prompt_id: pair.split for pair in pairs}
    rule, reader = REGISTRY.get("ranked")(metric), ScoreReader(run.scores_path(metric))
    for group in groups(iterate_candidates(run.candidates_path)):
        scores = {metric: {row.id: reader.get(row.id) for row in group}}
        prompt_id = group[0].prompt_id
        usable = [scored(rule, row, scores, {metric: higher_is_better}) for row in group]
        for found in rule.match([one for one in usable if one is not None]):
            if isinstance(found, Ranking) and prompt_id in splits:
                ids = tuple(one.candidate.id for one in found.candidates)
                labels = tuple(one.label for one in found.candidates)
                yield RankedList(id=prompt_id, prompt_id=prompt_id, candidates=ids, scores=labels, split=splits[prompt_id])
    reader.close()


def reference_inputs(run: Run, folder: Path) -> dict[str, str]:
    """Hashes of what reference and train both read."""
    inputs = {
        "model": run.model_identity(),
        "pairs": artefacts.digest_of(folder / "pairs.jsonl"),
        "candidates": artefacts.digest_of(run.candidates_path),
    }
    # Only pairs that name a recording depend on the recordings, which another system of the run folder may have made.
    if any(pair.chosen.endswith(TARGET) for pair in artefacts.iterate_rows(folder / "pairs.jsonl", PreferencePair)):
        inputs["targets"] = artefacts.digest_of(run.targets_path)
    return inputs

"""Pairs as the token ids the trainer learns from: what reference and train both read."""

from pathlib import Path

from lpo_tts import artefacts
from lpo_tts.errors import ArtefactError
from lpo_tts.records import PreferencePair
from lpo_tts.steps.world import TARGET, Sampled, World, read_parts
from lpo_tts.training.examples import PairExample


def read_examples(world: World, folder: Path) -> tuple[list[PairExample], list[PairExample]]:
    """Pairs of a folder as token ids, (train, dev); raises ArtefactError when a pair names a candidate there is none of."""
    pairs = artefacts.read_rows(folder / "pairs.jsonl", PreferencePair)
    known: dict[str, Sampled] = {one.row.id: one for one in read_parts(world.candidates_path)}
    if any(pair.chosen not in known or pair.rejected not in known for pair in pairs) and world.targets_path.exists():
        known |= {one.row.id: one for one in read_parts(world.targets_path)}
    examples: dict[str, list[PairExample]] = {"train": [], "dev": [], "test": []}
    for number, pair in enumerate(pairs, 1):
        missing = [name for name in (pair.chosen, pair.rejected) if name not in known]
        if missing:
            raise ArtefactError(
                f"{folder / 'pairs.jsonl'}:{number}: no candidate {missing[0]!r} in {world.candidates_path}; run pair again"
            )
        chosen, rejected = known[pair.chosen], known[pair.rejected]
        examples[pair.split].append(PairExample(pair.id, chosen.prompt_ids, chosen.token_ids, rejected.token_ids))
    return examples["train"], examples["dev"]


def reference_inputs(world: World, folder: Path) -> dict[str, str]:
    """Hashes of what reference and train both read."""
    inputs = {
        "model": world.model_identity(),
        "pairs": artefacts.file_hash(folder / "pairs.jsonl"),
        "candidates": artefacts.content_hash(world.candidates_path),
    }
    # Only pairs that name a recording depend on the recordings, which another system of the run folder may have made.
    if any(pair.chosen.endswith(TARGET) for pair in artefacts.read_rows(folder / "pairs.jsonl", PreferencePair)):
        inputs["targets"] = artefacts.content_hash(world.targets_path)
    return inputs

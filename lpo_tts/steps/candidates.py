"""Candidates on the disk: parts of rows (JSONL) and the tensors beside them (safetensors)."""

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lpo_tts import artefacts, speaking
from lpo_tts.backbones.base import PromptInputs
from lpo_tts.codecs.base import LoadedCodec
from lpo_tts.codes import Codes
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Candidate, Prompt, file_name

FEATURE, SHAPE = "feature_", "shape_"  # tensors of a part: prompts' features by name, and their shapes
TARGET = "#target"  # in place of a candidate's number: the recording of the prompt's own text


class Sampled(NamedTuple):
    """A candidate with what the model saw and emitted; codes are None where nothing is decodable."""

    row: Candidate
    prompt: PromptInputs
    tokens: Tensor  # (steps, streams) int64
    codes: Codes | None


def part_name(number: int) -> str:
    """Name of a part, without suffix."""
    return f"part-{number:05d}"


def part_files(folder: Path, number: int) -> list[Path]:
    """The two files of a part: rows, tensors."""
    return [folder / f"{part_name(number)}{suffix}" for suffix in (".jsonl", ".safetensors")]


def write_part(folder: Path, number: int, sampled: Sequence[Sampled]) -> None:
    """Writes one part; it counts as made when the artefact has noted it (`Artefact.add`)."""
    rows, shard = part_files(folder, number)
    tensors = artefacts.pack("prompt", [one.prompt.tokens for one in sampled])
    tensors |= artefacts.pack("tokens", [one.tokens for one in sampled])
    for name in sampled[0].prompt.features if sampled else ():
        # Features have any shape: flat, beside their shapes.
        features = [one.prompt.features[name].contiguous() for one in sampled]
        tensors |= artefacts.pack(f"{FEATURE}{name}", [one.reshape(-1) for one in features], None)
        tensors |= artefacts.pack(f"{SHAPE}{name}", [torch.tensor(one.shape, dtype=torch.int64) for one in features])
    nothing = torch.empty(0, dtype=torch.int64)
    for level in range(max((len(one.codes.levels) for one in sampled if one.codes is not None), default=0)):
        tensors |= artefacts.pack(
            f"codes_{level}", [one.codes.levels[level] if one.codes is not None else nothing for one in sampled]
        )
    artefacts.write_tensors(shard, tensors)
    artefacts.write_rows(rows, [one.row for one in sampled])


def beside(own: Sequence[Sampled], folders: Sequence[Path], number: int) -> list[Sampled]:
    """Candidates of one part with those that other models have in the same part of their folders, prompt by prompt.

    A prompt's own candidates come first, then those of the other models in the order of their folders.
    """
    prompts: dict[str, list[Sampled]] = {}
    for some in (own, *(read_part(part_files(folder, number)[0]) for folder in folders)):
        for one in some:
            prompts.setdefault(one.row.prompt_id, []).append(one)
    return [one for group in prompts.values() for one in group]


def read_part(path: Path) -> list[Sampled]:
    """Candidates of one part; raises ArtefactError when rows and tensors disagree."""
    return _with_tensors(path, artefacts.read_rows(path, Candidate))


def _with_tensors(path: Path, rows: list[Candidate]) -> list[Sampled]:
    tensors = artefacts.read_tensors(path.with_suffix(".safetensors"))
    tokens = artefacts.unpack("tokens", tensors)
    if len(rows) != len(tokens):
        raise ArtefactError(
            f"{path}: {len(rows)} rows beside {len(tokens)} token sequences; delete both files and run the step again: "
            "it makes this part again, alone"
        )
    prompts = [
        PromptInputs(*inputs) for inputs in zip(artefacts.unpack("prompt", tensors), _features(tensors, len(rows)), strict=True)
    ]
    num_levels = sum(name.startswith("codes_") and not name.endswith("_offsets") for name in tensors)
    levels = [artefacts.unpack(f"codes_{level}", tensors) for level in range(num_levels)]
    sampled = []
    for number, (row, ids) in enumerate(zip(rows, tokens, strict=True)):
        if row.num_tokens != len(ids):
            raise ArtefactError(
                f"{path}:{number + 1}: {row.id} says {row.num_tokens} tokens, its shard holds {len(ids)}; "
                "delete both files and run the step again: it makes this part again, alone"
            )
        codes = Codes(tuple(level[number] for level in levels)) if row.num_frames else None
        sampled.append(Sampled(row, prompts[number], ids, codes))
    return sampled


def _features(tensors: Mapping[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    found: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for name in (key.removeprefix(SHAPE) for key in tensors if key.startswith(SHAPE) and not key.endswith("_offsets")):
        values, shapes = artefacts.unpack(f"{FEATURE}{name}", tensors), artefacts.unpack(f"{SHAPE}{name}", tensors)
        for one, value, shape in zip(found, values, shapes, strict=True):
            one[name] = value.reshape(shape.tolist())
    return found


def part_paths(folder: Path) -> list[Path]:
    """Tables of all parts, in order; raises ArtefactError when there is none."""
    parts = sorted(folder.glob("part-*.jsonl"), key=lambda path: (len(path.name), path.name))  # 100000 after 99999
    if not parts:
        raise ArtefactError(f"{folder}: no candidates; run the step that makes them")
    return parts


def prompts_of(rows: Sequence[Candidate], prompts: Mapping[str, Prompt], part: Path, table: Path) -> dict[str, Prompt]:
    """The prompts that the candidates of a part answer; raises ArtefactError for one that is none of the `table`'s."""
    unknown = next((row for row in rows if row.prompt_id not in prompts), None)
    if unknown is not None:
        raise ArtefactError(
            f"{part}: candidate {unknown.id!r} answers the prompt {unknown.prompt_id!r}, which is none of {table}; "
            "run sample again with --redo sample"
        )
    return {row.prompt_id: prompts[row.prompt_id] for row in rows}


def read_parts(folder: Path) -> Iterator[Sampled]:
    """All candidates of a folder of parts, in order; one part at a time is in memory."""
    for part in part_paths(folder):
        yield from read_part(part)


def read_wanted(folder: Path, ids: Container[str], *, codes: bool = False) -> Iterator[Sampled]:
    """Candidates with these ids, in order; of parts that hold none of them only the rows are read.

    Their codes are left out unless `codes` asks for them.

    Each has tensors of its own, so that keeping a candidate does not keep the part it comes from.
    """
    for part in part_paths(folder):
        rows = artefacts.read_rows(part, Candidate)
        if any(row.id in ids for row in rows):
            for one in _with_tensors(part, rows):
                if one.row.id in ids:
                    features = {name: value.clone() for name, value in one.prompt.features.items()}
                    own = Codes(tuple(level.clone() for level in one.codes.levels)) if codes and one.codes is not None else None
                    yield Sampled(one.row, PromptInputs(one.prompt.tokens.clone(), features), one.tokens.clone(), own)


def iterate_candidates(folder: Path) -> Iterator[Candidate]:
    """Rows of all parts, in order, without their tensors."""
    for part in part_paths(folder):
        yield from artefacts.iterate_rows(part, Candidate)


def decode(sampled: Sequence[Sampled], codec: LoadedCodec) -> list[Tensor | None]:
    """Waveforms of candidates; None where nothing is decodable."""
    return speaking.decode([one.codes for one in sampled], codec)


def wave_path(folder: Path, candidate_id: str) -> Path:
    """Where the waveform of a candidate lies; different ids have different files."""
    return folder / "wavs" / f"{file_name(candidate_id)}.wav"

"""What every step works in: the run folder, the model and codec of the recipe, and how artefacts are begun."""

import dataclasses
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact, Provenance
from lpo_tts.backbones.base import Backbone
from lpo_tts.codecs.base import Codec
from lpo_tts.codes import Codes
from lpo_tts.config import Structurer
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Candidate, Prompt, Utterance
from lpo_tts.training.processes import launched

log = logging.getLogger("lpo_tts")
Item = TypeVar("Item")
TARGET = "#target"  # in place of a candidate's number: the recording of the prompt's own text


@dataclass(frozen=True)
class World:
    """One run folder and what its recipe works with.

    Attributes:
        out: the run folder.
        seed: base seed of everything random.
        device: "cpu", "cuda", ...
        workers: local processes for sampling and listening; 0 = in this process.
        redo: verbs whose artefacts are made again though they exist.
        structurer: turns settings into plain values for the side-cars.
    """

    out: Path
    seed: int
    device: str
    workers: int
    backbone: Backbone
    codec: Codec
    structurer: Structurer
    redo: frozenset[str] = frozenset()
    _redone: set[Path] = field(default_factory=set, compare=False)

    @property
    def prompts_path(self) -> Path:
        """Table of prompts."""
        return self.out / "prompts.jsonl"

    @property
    def candidates_path(self) -> Path:
        """Folder of candidate parts."""
        return self.out / "candidates"

    @property
    def targets_path(self) -> Path:
        """Folder of recordings as answers, for the ground-truth rule."""
        return self.out / "targets"

    def scores_path(self, metric: str) -> Path:
        """Table of one metric's scores."""
        return self.out / f"scores-{metric}.jsonl"

    def synthesized_path(self, system: str) -> Path:
        """Folder of one system's answers to the held-out prompts."""
        return self.out / "synthesized" / system

    def plain(self, value: Any) -> Any:
        """Settings as plain JSON-able values."""
        return self.structurer.unstructure(value)

    def model_identity(self, model: str | None = None) -> str:
        """Hash of a local checkpoint, or the hub id."""
        return artefacts.source_hash(model or self.backbone.model)

    def prepare(
        self, path: Path, verb: str, settings: Any, inputs: dict[str, str], *, tell: bool = True
    ) -> tuple[Artefact, bool]:
        """Returns the artefact and whether it is complete already (logged if `tell`); begins it when it is not.

        Raises ArtefactError when it exists, was made otherwise, and `redo` does not cover it.
        """
        artefact = Artefact(path, Provenance(verb, self.plain(settings), inputs))
        if verb in self.redo and path not in self._redone:
            remove(path)
        self._redone.add(path)
        if artefact.state() == "complete":
            log.log(logging.INFO if tell else logging.DEBUG, "%s: up to date (%s)", verb, self.show(path))
            return artefact, True
        artefact.begin()
        return artefact, False

    def show(self, path: Path) -> str:
        """A path as people read it."""
        try:
            return str(path.resolve().relative_to(Path.cwd()))
        except ValueError:
            return str(path)


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Holds a run folder for this process; raises ArtefactError when another one works in it.

    Of several processes that were launched together the first one holds it for all.
    """
    if launched()[0]:
        yield
        return
    try:
        import fcntl
    except ImportError:  # no such lock on this system
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ArtefactError(f"another run works in {out} now; wait for it, or choose another `out`") from error
        yield


def remove(path: Path) -> None:
    """Deletes an artefact with its side-car and partial files."""
    stem = path.name.removesuffix(".jsonl")
    for one in [
        path,
        *(path.with_name(name) for name in (f"{path.name}.meta.json", f"{path.name}.partial", f"{stem}.failed.jsonl")),
    ]:
        if one.is_dir():
            shutil.rmtree(one)
        elif one.exists():
            one.unlink()


def progress(items: Iterable[Item], verb: str, total: int | None = None, unit: str = "it") -> Iterator[Item]:
    """A progress bar on a terminal, silence elsewhere."""
    return iter(tqdm(items, desc=verb, total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False))


def blocks(items: Sequence[Item], size: int) -> list[list[Item]]:
    """Consecutive blocks of at most `size` items."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def relocate(utterance: Utterance | None, folder: Path, to: Path) -> Utterance | None:
    """The utterance with its audio path, given relative to `folder`, made relative to `to`."""
    if utterance is None:
        return None
    audio = (folder / utterance.audio).resolve()
    return dataclasses.replace(utterance, audio=str(_relative(audio, to.resolve())))


def _relative(path: Path, start: Path) -> Path:
    common = next((parent for parent in [start, *start.parents] if path.is_relative_to(parent)), None)
    if common is None:
        return path
    return Path(*[".."] * len(start.relative_to(common).parts)) / path.relative_to(common)


def read_prompts(world: World, splits: Sequence[str], limit: int | None = None) -> list[Prompt]:
    """Prompts of the given splits in table order; raises ArtefactError when there are none."""
    prompts = [prompt for prompt in artefacts.read_rows(world.prompts_path, Prompt) if prompt.split in splits]
    if not prompts:
        raise ArtefactError(f"{world.prompts_path}: no prompt of split {' or '.join(splits)}; see `prompts` in the recipe")
    return prompts[:limit]


class Sampled(NamedTuple):
    """A candidate with what the model saw and emitted; codes are None where nothing is decodable."""

    row: Candidate
    prompt_ids: Tensor
    token_ids: Tensor
    codes: Codes | None


def write_part(folder: Path, number: int, sampled: Sequence[Sampled]) -> None:
    """One part: tensors first, rows last, so that a part whose rows exist is whole."""
    name = f"part-{number:05d}"
    tensors = artefacts.pack("prompt_ids", [one.prompt_ids for one in sampled])
    tensors |= artefacts.pack("token_ids", [one.token_ids for one in sampled])
    nothing = torch.empty(0, dtype=torch.int64)
    for level in range(max((len(one.codes.levels) for one in sampled if one.codes is not None), default=0)):
        tensors |= artefacts.pack(
            f"codes_{level}", [one.codes.levels[level] if one.codes is not None else nothing for one in sampled]
        )
    artefacts.write_tensors(folder / f"{name}.safetensors", tensors)
    artefacts.write_rows(folder / f"{name}.jsonl", [one.row for one in sampled])


def has_part(folder: Path, number: int) -> bool:
    """Whether a part is written whole."""
    return (folder / f"part-{number:05d}.jsonl").exists() and (folder / f"part-{number:05d}.safetensors").exists()


def read_part(path: Path) -> list[Sampled]:
    """Candidates of one part; raises ArtefactError when rows and tensors disagree."""
    rows = artefacts.read_rows(path, Candidate)
    tensors = artefacts.read_tensors(path.with_suffix(".safetensors"))
    token_ids = artefacts.unpack("token_ids", tensors)
    if len(rows) != len(token_ids):
        raise ArtefactError(
            f"{path}: {len(rows)} rows beside {len(token_ids)} token sequences; delete both files and run the step again"
        )
    prompt_ids = artefacts.unpack("prompt_ids", tensors)
    num_levels = sum(name.startswith("codes_") and not name.endswith("_offsets") for name in tensors)
    levels = [artefacts.unpack(f"codes_{level}", tensors) for level in range(num_levels)]
    sampled = []
    for number, (row, ids) in enumerate(zip(rows, token_ids, strict=True)):
        if row.num_tokens != ids.numel():
            raise ArtefactError(
                f"{path}:{number + 1}: {row.id} says {row.num_tokens} tokens, its shard holds {ids.numel()}; "
                "delete the part and run again"
            )
        codes = Codes(tuple(level[number] for level in levels)) if row.num_frames else None
        sampled.append(Sampled(row, prompt_ids[number], ids, codes))
    return sampled


def read_parts(folder: Path) -> list[Sampled]:
    """All candidates of a folder of parts, in order."""
    parts = sorted(folder.glob("part-*.jsonl"))
    if not parts:
        raise ArtefactError(f"{folder}: no candidates; run the step that makes them")
    return [item for part in parts for item in read_part(part)]


def torch_device(name: str) -> str:
    """`auto` to what there is; of several launched processes each has a GPU of its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" and launched()[1] > 1 else name

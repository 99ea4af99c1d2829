"""What there is to be judged: the speech of every system, and real recordings of some of its texts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lpo_tts import artefacts
from lpo_tts.records import Prompt
from lpo_tts.steps.candidates import iterate_candidates, wave_path
from lpo_tts.steps.run import CODEC_COPY, RECORDING, Run, read_prompts


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One piece of speech, whether it is there or not.

    Attributes:
        id: of the candidate.
        prompt: what it should be.
        path: where its audio lies, or should lie.
        seed: which of the system's candidates for this prompt it is.
        finished: the model ended it by itself; True where nobody knows.
        status: of a candidate that has no audio: why it has none, as far as the model's side of it goes.
    """

    id: str
    prompt: Prompt
    path: Path
    seed: int = 0
    finished: bool = True
    status: str = "ok"


@dataclass(frozen=True)
class Spoken:
    """What there is to be judged.

    Attributes:
        systems: the pieces of every system in order, the first system first.
        floors: real recordings of some of the texts, as they are and through the codec: they are no systems, for what they
            say is right, and so tell the judges' own error.
    """

    systems: Mapping[str, Sequence[Piece]]
    floors: Mapping[str, Sequence[Piece]] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, Sequence[Piece]]:
        """Systems and recordings."""
        return {**self.systems, **self.floors}

    @property
    def num_pieces(self) -> int:
        """Pieces of all systems."""
        return sum(len(pieces) for pieces in self.systems.values())


def of_run(run: Run, systems: Sequence[str]) -> Spoken:
    """What the systems of a run folder said, by its recipe; raises ArtefactError where something is not complete."""
    prompts = {prompt.id: prompt for prompt in read_prompts(run, (run.recipe.synthesize.split,))}
    return Spoken({system: synthesized(run, system, prompts) for system in systems}, floors_of(run, prompts.values()))


def synthesized(run: Run, system: str, prompts: Mapping[str, Prompt]) -> list[Piece]:
    """What one system of a run folder said; raises ArtefactError where it is not complete, or not as it was written."""
    folder = run.synthesized_path(system)
    artefacts.digest_of(folder)
    return [
        Piece(
            id=row.id,
            prompt=prompts[row.prompt_id],
            path=wave_path(folder, row.id),
            seed=row.index,
            finished=row.finished,
            status=row.status,
        )
        for row in iterate_candidates(folder)
    ]


def floors_of(run: Run, prompts: Iterable[Prompt]) -> dict[str, list[Piece]]:
    """Recordings of the prompts' own texts, and their copies through the codec where the run folder holds them."""
    found = [prompt for prompt in prompts if prompt.target is not None][: run.recipe.synthesize.floor_prompts]
    if not found:
        return {}
    floors = {RECORDING: [Piece(id=one.id, prompt=one, path=run.out / one.target.audio) for one in found if one.target]}
    copies = run.synthesized_path(CODEC_COPY)
    if copies.exists():
        floors[CODEC_COPY] = [Piece(id=one.id, prompt=one, path=wave_path(copies, one.id)) for one in found]
    return floors

"""prompts: a manifest of recordings to requests: a text, and another recording of the voice that shall say it."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lpo_tts import artefacts
from lpo_tts.artefacts import RowWriter
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.records import Prompt, Split, Utterance
from lpo_tts.steps.progress import check_failures, log
from lpo_tts.steps.run import Plan, Run, without_limits


@dataclass(frozen=True)
class PromptsSettings:
    """How prompts are made from a manifest.

    Attributes:
        manifest: table of Utterance rows; their split decides the split of the prompt.
        train: at most so many prompts of the split train, from which candidates are sampled; None = all.
        dev: at most so many prompts of the split dev, on which settings are chosen; None = all.
        test: at most so many prompts of the split test, on which the result is measured; None = all.
        voice: what a prompt imitates: "same_speaker" takes another recording of the speaker with another text; "none"
            prompts without a voice.
        min_voice_duration: shortest recording, in seconds, that is used as a voice.
        max_failed: share of utterances that may fail (no text, no other recording of the speaker).
    """

    manifest: Path
    train: int | None = None
    dev: int | None = None
    test: int | None = None
    voice: Literal["same_speaker", "none"] = "same_speaker"
    min_voice_duration: float = 0.0
    max_failed: float = 0.01

    bounds = {
        "train": at_least(0),
        "dev": at_least(0),
        "test": at_least(0),
        "min_voice_duration": at_least(0),
        "max_failed": at_least(0).at_most(1),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")


def make_prompts(utterances: Sequence[Utterance], settings: PromptsSettings, seed: int) -> Iterator[tuple[str, Prompt | str]]:
    """Yields (utterance id, prompt) or (utterance id, why there is none), each split in an order fixed by the seed."""
    by_speaker: dict[tuple[str, str | None], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        if utterance.duration >= settings.min_voice_duration:
            by_speaker[utterance.speaker, utterance.split].append(utterance)
    limits: dict[Split, int | None] = {"train": settings.train, "dev": settings.dev, "test": settings.test}
    for split, limit in limits.items():
        rows = sorted((u for u in utterances if (u.split or "train") == split), key=lambda u: _key(seed, u.id))
        for utterance in rows[:limit]:
            if not utterance.text.strip():
                yield utterance.id, "empty text"
                continue
            voice = None
            if settings.voice == "same_speaker":
                others = [other for other in by_speaker[utterance.speaker, utterance.split] if other.text != utterance.text]
                if not others:
                    yield (
                        utterance.id,
                        f"speaker {utterance.speaker} has no other recording in split {split} to take the voice from",
                    )
                    continue
                voice = min(others, key=lambda other: _key(seed, f"{utterance.id}/{other.id}"))
            yield (
                utterance.id,
                Prompt(
                    id=utterance.id,
                    text=utterance.text,
                    language=utterance.language,
                    voice=voice,
                    target=utterance,
                    split=split,
                    tags=utterance.tags,
                ),
            )


def _key(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()


def plans(run: Run) -> list[Plan]:
    """prompts.jsonl before it is made."""
    settings = run.recipe.prompts
    named = run.plain(settings)
    named["manifest"] = settings.manifest.name  # where the file lies is not part of what it says; its hash is
    return [Plan(run.prompts_path, "prompts", {**without_limits(named), "seed": run.seed})]


def execute(run: Run) -> None:
    """Writes prompts.jsonl."""
    settings = run.recipe.prompts
    (plan,) = plans(run)
    artefact, done = run.prepare(plan, {"manifest": artefacts.file_hash(settings.manifest)})
    if done:
        counts = artefact.meta()["counts"]
        check_failures("prompts", int(counts["failed"]), int(counts["rows"]) + int(counts["failed"]), settings.max_failed)
        return
    utterances = artefacts.read_rows(settings.manifest, Utterance)
    writer = RowWriter(run.prompts_path, Prompt, settings.max_failed, resume=False)  # made in a moment: no need to resume
    counts: dict[str, int] = defaultdict(int)
    for utterance_id, prompt in make_prompts(utterances, settings, run.seed):
        if isinstance(prompt, str):
            writer.fail(utterance_id, prompt)
            continue
        folder = settings.manifest.parent
        try:
            voice, target = relocate(prompt.voice, folder, run.out), relocate(prompt.target, folder, run.out)
        except ArtefactError as error:
            writer.fail(utterance_id, str(error))
            continue
        writer.append([dataclasses.replace(prompt, voice=voice, target=target)])
        counts[prompt.split] += 1
    if not counts:
        raise ArtefactError(
            f"prompts: no prompt came out of {settings.manifest}, which has {len(utterances)} rows; check the splits"
        )
    artefact.finish(**writer.finish(), **counts)
    log.info("prompts: %s", ", ".join(f"{count} {split}" for split, count in counts.items()))


def relocate(utterance: Utterance | None, folder: Path, to: Path) -> Utterance | None:
    """The utterance with its audio path, given relative to `folder`, made relative to `to`."""
    if utterance is None:
        return None
    try:
        with os_errors("find", utterance.audio):
            audio = (folder / utterance.audio).resolve()
    except RuntimeError as error:  # Python's word for links that lead in a circle
        raise ArtefactError(f"cannot find {utterance.audio}: its links lead in a circle; check the path") from error
    return dataclasses.replace(utterance, audio=str(_relative(audio, to.resolve())))


def _relative(path: Path, start: Path) -> Path:
    common = next((parent for parent in [start, *start.parents] if path.is_relative_to(parent)), None)
    if common is None:
        return path
    return Path(*[".."] * len(start.relative_to(common).parts)) / path.relative_to(common)

"""prompts: a manifest of recordings to requests: a text, and another recording of the voice that shall say it."""

import dataclasses
import functools
import itertools
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lpo_tts import artefacts
from lpo_tts.artefacts import RowWriter
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ArtefactError, ConfigError, os_errors
from lpo_tts.prompting.corpus import apart_from, of_corpus, order_key
from lpo_tts.prompting.hard import HardSettings, hard_prompts
from lpo_tts.prompting.splits import SplitBy, with_splits
from lpo_tts.records import Prompt, Split, Utterance
from lpo_tts.steps.progress import check_failures, log
from lpo_tts.steps.run import Plan, Run, without_limits

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


@dataclass(frozen=True)
class PromptsSettings:
    """How prompts are made from a manifest.

    Attributes:
        manifest: table of Utterance rows; their split decides the split of the prompt.
        train: at most so many prompts of the split train, from which candidates are sampled; None = all.
        dev: at most so many prompts of the split dev, on which settings are chosen; None = all.
        test: at most so many prompts of the split test, on which the result is measured; None = all.
        split_by: how rows without a split get one: "speaker" leaves no speaker on two sides, and refuses a manifest whose own
            splits share one; "utterance" draws row by row; None: they are of split train.
        dev_share: share of the speakers or rows without a split that become dev; for `split_by`.
        test_share: share of them that become test; for `split_by`.
        split_seed: decides which; the recipe's `seed` does not, so that runs of several seeds have the same test.
        voice: what a prompt imitates: "same_speaker" takes another recording of the speaker, in the same split and language,
            whose text differs in more than case and punctuation; "none" prompts without a voice.
        min_voice_duration: shortest recording, in seconds, that is used as a voice.
        max_voice_duration: longest recording, in seconds, that is used as a voice; None = any.
        test_prompts: a table of prompts that are the split test as they are, texts and voices paired, such as the
            prompts.jsonl of data_prep/seed_tts_eval.py; None: split test is made from the manifest, as the others. Rows of
            the manifest that say one of its texts then give no prompt.
        hard: hard prompts made on purpose, beside those of the corpus; None = none. `train`, `dev` and `test` count them too.
        per_round: which prompts of split train the `rounds` take: the "same" in each, "new" ones (`train` of them, until the
            corpus is used up), or a "cycle", which begins anew when it is.
        round: with which of these rounds to begin, for rounds that are runs of their own.
        max_failed: share of utterances that may fail (no text, no other recording of the speaker).
    """

    manifest: Path
    train: int | None = None
    dev: int | None = None
    test: int | None = None
    split_by: SplitBy | None = None
    dev_share: float = 0.0
    test_share: float = 0.0
    split_seed: int = 0
    voice: Literal["same_speaker", "none"] = "same_speaker"
    min_voice_duration: float = 0.0
    max_voice_duration: float | None = None
    test_prompts: Path | None = None
    hard: HardSettings | None = None
    per_round: Literal["same", "new", "cycle"] = "same"
    round: int = 1
    max_failed: float = 0.01

    bounds = {
        "train": at_least(0),
        "dev": at_least(0),
        "test": at_least(0),
        "dev_share": at_least(0).below(1),
        "test_share": at_least(0).below(1),
        "split_seed": at_least(0),
        "min_voice_duration": at_least(0),
        "max_voice_duration": above(0),
        "round": at_least(1),
        "max_failed": at_least(0).at_most(1),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        shares = self.dev_share + self.test_share
        if self.split_by is None and shares:
            raise ConfigError("split_by: expected speaker or utterance where dev_share or test_share is set, found nothing")
        if shares >= 1:
            raise ConfigError(f"dev_share and test_share: expected a sum below 1, found {shares:g}; nothing is left to train on")
        if self.max_voice_duration is not None and self.max_voice_duration < self.min_voice_duration:
            raise ConfigError(
                f"max_voice_duration: expected at least min_voice_duration ({self.min_voice_duration:g}), "
                f"found {self.max_voice_duration:g}"
            )
        if self.test_prompts is not None and self.hard is not None and "test" in self.hard.splits:
            raise ConfigError("hard.splits: expected no test where test_prompts is set, which takes its prompts as they are")
        if self.per_round != "same" and not self.train:
            raise ConfigError(f"per_round: {self.per_round} needs `train`, the number of prompts that a round takes")

    def with_splits(self, utterances: Sequence[Utterance]) -> list[Utterance]:
        """Every row with a split; raises ArtefactError when they cannot be divided as is asked for."""
        return with_splits(utterances, self.split_by, self.dev_share, self.test_share, self.split_seed)

    def read_test_prompts(self) -> list[Prompt]:
        """The rows of `test_prompts`, as prompts of split test whose audio is relative to the manifest's folder; or none.

        Raises ArtefactError when the table cannot be read, or holds no prompts.
        """
        if self.test_prompts is None:
            return []
        found, to = self.test_prompts.parent, self.manifest.parent
        try:
            rows = artefacts.read_rows(self.test_prompts, Prompt)
        except ArtefactError as error:
            raise ArtefactError(f"prompts.test_prompts: {error}") from error
        if not rows:
            raise ArtefactError(f"prompts.test_prompts: expected prompts in {self.test_prompts}, found none")
        heard = self.voice != "none"
        return [
            dataclasses.replace(
                one,
                split="test",
                voice=relocate(one.voice, found, to) if heard else None,
                target=relocate(one.target, found, to),
            )
            for one in (rows[place] for place in self.takes("test", len(rows)))
        ]

    def takes(self, split: Split, rows: int) -> list[int]:
        """Which of a split's rows, by their place in its order, become prompts.

        Raises ArtefactError when earlier rounds have left too few.
        """
        limit: int | None = getattr(self, split)
        if limit is None:
            return list(range(rows))
        if self.hard is not None and split in self.hard.splits:
            limit = round(limit * (1 - self.hard.share))
        if split != "train" or self.per_round == "same":
            return list(range(min(limit, rows)))
        start = (self.round - 1) * limit
        if self.per_round == "new" and self.round > 1 and start + limit > rows:
            raise ArtefactError(
                f"prompts.per_round: round {self.round} takes {limit} new utterances of split train, but earlier rounds have "
                f"left {max(0, rows - start)} of {rows}; lower prompts.train or rounds, or let per_round: cycle begin anew"
            )
        return [(start + place) % rows for place in range(min(limit, rows))]

    def num_hard(self, split: Split, rows: int) -> int:
        """How many hard prompts stand beside so many of the corpus."""
        if self.hard is None or split not in self.hard.splits:
            return 0
        return round(rows * self.hard.share / (1 - self.hard.share))


def make_prompts(utterances: Sequence[Utterance], settings: PromptsSettings, seed: int) -> Iterator[tuple[str, Prompt | str]]:
    """Yields (id, prompt) or (id, why there is none), each split in an order fixed by the seed.

    Raises:
        ArtefactError: the rows cannot be divided as is asked for, or are used up (see `PromptsSettings.takes`); the table of
            `test_prompts` cannot be read.
    """
    utterances = settings.with_splits(utterances)
    tests = settings.read_test_prompts()
    if tests:
        utterances, said = apart_from(tests, utterances)
        yield from ((one.id, one) for one in tests)
        yield from ((name, f"its {what} stands in {settings.test_prompts}, which is the test") for name, what in said)
    longest = math.inf if settings.max_voice_duration is None else settings.max_voice_duration
    voices = [one for one in utterances if settings.min_voice_duration <= one.duration <= longest]
    by_speaker: dict[tuple[str, str, str | None], list[Utterance]] = defaultdict(list)
    for one in voices:
        by_speaker[one.speaker, one.language, one.split].append(one)
    for split in SPLITS:
        rows = sorted((one for one in utterances if one.split == split), key=lambda one: order_key(seed, one.id))
        taken = [rows[place] for place in settings.takes(split, len(rows))]
        found = of_corpus(taken, by_speaker if settings.voice == "same_speaker" else None, split, seed)
        many = settings.num_hard(split, len(taken))
        if settings.hard is not None and many:
            own = None if settings.voice == "none" else [one for one in voices if one.split == split]
            hard = hard_prompts(rows, own, settings.hard, split, seed)
            start = 0 if settings.per_round == "same" or split != "train" else (settings.round - 1) * many
            found = sorted([*found, *itertools.islice(hard, start, start + many)], key=lambda one: order_key(seed, one[0]))
        yield from found


def plans(run: Run) -> list[Plan]:
    """prompts.jsonl before it is made."""
    settings = run.recipe.prompts
    return [Plan(run.prompts_path, "prompts", {**_named(run, settings), "seed": run.seed})]


def _named(run: Run, settings: PromptsSettings) -> dict[str, Any]:
    """The settings that say what is made: where files lie does not (their hashes are inputs), nor does what nothing heeds."""
    named = {**without_limits(run.plain(settings)), "manifest": settings.manifest.name}
    if settings.test_prompts is not None:
        named["test_prompts"] = settings.test_prompts.name
    if settings.hard is not None and settings.hard.sentences is not None:
        named["hard"]["sentences"] = settings.hard.sentences.name
    idle = ["split_by", "dev_share", "test_share", "split_seed"] if settings.split_by is None else []
    idle += ["per_round", "round"] if settings.per_round == "same" else []
    idle += ["test_prompts"] if settings.test_prompts is None else []
    return {key: value for key, value in named.items() if key not in idle}


def execute(run: Run) -> None:
    """Writes prompts.jsonl."""
    settings = run.recipe.prompts
    (plan,) = plans(run)
    if run.keeps(plan, {}):
        return
    inputs = {"manifest": artefacts.file_hash(settings.manifest)}
    if settings.hard is not None and settings.hard.sentences is not None:
        inputs["sentences"] = artefacts.file_hash(settings.hard.sentences)
    if settings.test_prompts is not None:
        inputs["test_prompts"] = artefacts.file_hash(settings.test_prompts)
    artefact, done = run.prepare(plan, inputs)
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
    place = os.path.join(folder, utterance.audio)
    try:
        with os_errors("find", utterance.audio):
            if os.path.islink(place):
                audio = str(_relative(Path(place).resolve(), to.resolve()))
            else:
                audio = os.path.join(_folder_below(os.path.dirname(place), to), os.path.basename(place))
    except RuntimeError as error:  # Python's word for links that lead in a circle
        raise ArtefactError(f"cannot find {utterance.audio}: its links lead in a circle; check the path") from error
    return dataclasses.replace(utterance, audio=audio)


@functools.lru_cache(maxsize=4096)
def _folder_below(folder: str, to: Path) -> str:
    """A folder relative to another one; a corpus has far fewer folders than recordings, and every step of a path costs."""
    return str(_relative(Path(folder).resolve(), to.resolve()))


def _relative(path: Path, start: Path) -> Path:
    common = next((parent for parent in [start, *start.parents] if path.is_relative_to(parent)), None)
    if common is None:
        return path
    return Path(*[".."] * len(start.relative_to(common).parts)) / path.relative_to(common)

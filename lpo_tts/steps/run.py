"""Run: a run folder and the recipe that is carried out in it; how artefacts are begun, and who may work there."""

import errno
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact, Provenance
from lpo_tts.backbones.base import Backbone
from lpo_tts.codecs.base import Codec
from lpo_tts.config import Structurer
from lpo_tts.engines.base import Block, Engine, Result
from lpo_tts.errors import ArtefactError, ConfigError, os_errors
from lpo_tts.fingerprints import fingerprint
from lpo_tts.records import Prompt
from lpo_tts.shards import Shard
from lpo_tts.steps.redo import Redo
from lpo_tts.training.processes import launched

if TYPE_CHECKING:
    from lpo_tts.recipe import Recipe

log = logging.getLogger("lpo_tts")

BASE, ALIGNED = "base", "aligned"  # the model of the recipe, and the recipe's own system
RECORDING, CODEC_COPY = "recording", "codec-copy"  # systems that are no model: the judges' error on real recordings


@dataclass(frozen=True)
class Plan:
    """An artefact before anything is done for it: where it lies, which verb makes it, and with which settings."""

    path: Path
    verb: str
    settings: dict[str, Any]


def silent(line: str) -> None:
    """Nobody reads the lines."""


@dataclass(frozen=True)
class Run:
    """One run folder, and the recipe that is carried out in it.

    Attributes:
        recipe: settings of the steps, model, codec and systems; of one round.
        structurer: turns settings into plain values for the side-cars.
        redo: artefacts that are made again though they exist.
        tell: takes the lines of a verb's result, which are printed to stdout.
        shard: which parts of an artefact are this process' own; None: all, and the artefact is to be completed.
        again: the option of the command that makes artefacts again, for messages; "": `--redo` and the verb.
    """

    recipe: "Recipe"
    structurer: Structurer
    redo: Redo | None = None
    tell: Callable[[str], None] = silent
    shard: Shard | None = None
    again: str = ""

    @property
    def out(self) -> Path:
        """The run folder."""
        return self.recipe.out

    @property
    def seed(self) -> int:
        """Base seed of everything random."""
        return self.recipe.seed

    @property
    def engine(self) -> Engine:
        """Where sampling and judging run."""
        return self.recipe.engine

    @property
    def backbone(self) -> Backbone:
        """The model that samples and is trained."""
        return self.recipe.backbone

    @property
    def codec(self) -> Codec:
        """Its audio codec."""
        return self.recipe.codec

    @cached_property
    def device(self) -> str:
        """What torch calls it: "cpu", "cuda", ...; raises ConfigError where there is none of this name."""
        return torch_device(self.recipe.device)

    @cached_property
    def worker_device(self) -> str:
        """What torch calls the device of the engine's workers, which may run on other machines than this one."""
        choose = getattr(self.engine, "worker_device", None)
        return self.device if choose is None else choose(self.recipe.device)

    def map(
        self, make_worker: Callable[[], Callable[[Block], Result]], blocks: Iterable[Block], gpus: float = 1
    ) -> Iterator[Result]:
        """Results of all blocks by the engine's workers, in order, each with so many `gpus` where `worker_device` is one.

        Where there is no block, no model is loaded.
        """
        blocks = iter(blocks)
        first = list(itertools.islice(blocks, 1))
        if first:
            gpus = gpus if self.worker_device.startswith("cuda") else 0
            yield from self.engine.map(make_worker, itertools.chain(first, blocks), gpus=gpus)

    def takes(self, number: int) -> bool:
        """Whether a part is to be made by this process."""
        return self.shard is None or self.shard.takes(number)

    @cached_property
    def frame_rate(self) -> float:
        """Frames per second of the codec, which is loaded for it once."""
        return self.codec.load().frame_rate

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
        """Folder of recordings as candidates, for the ground-truth rule."""
        return self.out / "targets"

    def others_path(self, name: str) -> Path:
        """Folder of another model's candidates, before they join those of the recipe's own."""
        return self.out / "others" / name

    def scores_path(self, metric: str) -> Path:
        """Table of one metric's scores."""
        return self.out / f"scores-{metric}.jsonl"

    def comparisons_path(self, name: str) -> Path:
        """Table of what one pairwise judge prefers."""
        return self.out / f"comparisons-{name}.jsonl"

    def synthesized_path(self, system: str) -> Path:
        """Folder of one system's candidates for the held-out prompts."""
        return self.out / "synthesized" / system

    def plain(self, value: Any, kind: Any = None) -> Any:
        """Settings as plain JSON-able values; `kind` is the family of a member."""
        return self.structurer.unstructure(value, kind)

    def identity(self, value: Any, kind: Any = None) -> Any:
        """As `plain`, with the contents of local files in place of their paths: what a side-car remembers."""
        return fingerprint(self.plain(value, kind))

    def parts_identity(self) -> dict[str, Any]:
        """Identity of the model with its layout, and of the codec."""
        return {"backbone": self.identity(self.backbone, Backbone), "codec": self.identity(self.codec, Codec)}

    def model_identity(self, model: str | None = None) -> str:
        """Hash of a local checkpoint, or the hub id with its revision."""
        if model is None:
            revision = getattr(self.backbone, "revision", None)
            model = self.backbone.model if revision is None else f"{self.backbone.model}@{revision}"
        return fingerprint(model, "model")

    def prepare(self, plan: Plan, inputs: dict[str, str], *, tell: bool = True) -> tuple[Artefact, bool]:
        """Returns the artefact and whether it is complete already (logged if `tell`); begins it when it is not.

        Raises ArtefactError when it exists, was made otherwise, and `redo` does not cover it.
        """
        artefact = Artefact(plan.path, Provenance(plan.verb, plan.settings, inputs, self.again))
        if self.shard is not None:
            done = artefact.join(self.shard)
            if done:
                log.info("%s: up to date (%s)", plan.verb, self.show(plan.path))
            return artefact, done
        if self.redo is not None:
            self.redo.start(plan.path, plan.verb)
        if artefact.state() == "complete":
            log.log(logging.INFO if tell else logging.DEBUG, "%s: up to date (%s)", plan.verb, self.show(plan.path))
            return artefact, True
        artefact.begin()
        return artefact, False

    def keeps(self, plan: Plan, inputs: Mapping[str, Path]) -> bool:
        """Whether an artefact was brought in by `lpo-tts import`: its step leaves it alone, and needs not what it would read.

        Args:
            plan: the artefact.
            inputs: artefacts of this run folder by the names under which the side-car may have their hashes.

        Raises:
            ArtefactError: it is of other settings or of other inputs, or not as it was written.
        """
        artefact = Artefact(plan.path, Provenance(plan.verb, plan.settings, {}))
        if not artefact.meta_path.exists() or (self.redo is not None and self.redo.covers(plan.verb)):
            return False
        meta = artefact.meta()
        if not meta.get("imported"):
            return False
        recorded = dict(meta.get("inputs") or {})
        known = {name: artefacts.digest_of(path) for name, path in inputs.items() if name in recorded and path.exists()}
        artefact.provenance = Provenance(plan.verb, plan.settings, recorded | known)
        if artefact.state() != "complete":
            raise ArtefactError(
                f"{self.show(plan.path)} was imported from {meta['imported'].get('from')} and is not whole; run the same "
                "`lpo-tts import` again"
            )
        log.info("%s: imported (%s)", plan.verb, self.show(plan.path))
        return True

    def check_plans(self, plans: Iterable[Plan]) -> list[str]:
        """What stands in the way of making or keeping these artefacts: those that exist and were made with other settings.

        Looks at side-cars alone, so that a changed setting of the last step is found before the first one works.
        """
        problems = []
        for plan in plans:
            if self.redo is not None and self.redo.covers(plan.verb):
                continue
            artefact = Artefact(plan.path, Provenance(plan.verb, plan.settings, {}, self.again))
            try:
                if artefact.meta_path.exists():
                    artefact.check(artefact.meta(), ("schema", "verb", "settings"))
            except ArtefactError as error:
                problems.append(str(error))
        return problems

    def show(self, path: Path) -> str:
        """A path as people read it."""
        try:
            return str(path.resolve().relative_to(Path.cwd()))
        except ValueError:
            return str(path)


@contextmanager
def exclusive(out: Path, shard: Shard | None = None) -> Iterator[None]:
    """Holds a run folder for this process; raises ArtefactError when another one works in it.

    Shards hold it together, and each what is its own.

    Of several processes that were launched together the first one holds it for all. A folder that cannot be written to is
    not held: nobody can change it, and looking at what is finished there must be possible.
    """
    if launched()[0]:
        yield
        return
    try:
        import fcntl
    except ImportError:  # no such lock on this system
        yield
        return
    with _lock_file(out, ".lock") as whole, _lock_file(out, "" if shard is None else f".lock.shard-{shard.index}") as own:
        try:
            if whole is not None:
                fcntl.flock(whole, (fcntl.LOCK_EX if shard is None else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as error:
            who = "another run works" if shard is not None else "another run, or a shard, works"
            raise ArtefactError(f"{who} in {out} now; wait for it, or choose another `out`") from error
        try:
            if own is not None:
                fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ArtefactError(f"shard {shard} works in {out} already; each shard is to be started once") from error
        yield


@contextmanager
def _lock_file(out: Path, name: str) -> Iterator[Any]:
    if not name:
        yield None
        return
    with os_errors("make the run folder", out):
        out.mkdir(parents=True, exist_ok=True)
    try:
        file = (out / name).open("a+")  # a shared lock on a network drive needs a file that can be read
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC):
            raise
        yield None
        return
    with file:
        yield file


def without_limits(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a step without those that only say when it gives up: they do not change what it makes."""
    return {key: value for key, value in settings.items() if key not in ("max_failed", "max_unscorable")}


def read_prompts(run: Run, splits: Sequence[str], limit: int | None = None) -> list[Prompt]:
    """Prompts of the given splits in table order; raises ArtefactError when there are none."""
    prompts = [prompt for prompt in artefacts.read_rows(run.prompts_path, Prompt) if prompt.split in splits]
    if not prompts:
        raise ArtefactError(f"{run.prompts_path}: no prompt of split {' or '.join(splits)}; see `prompts` in the recipe")
    return prompts[:limit]


def torch_device(name: str) -> str:
    """`auto` to what there is; of several launched processes each has a GPU of its own.

    Raises ConfigError for a device that torch does not know or this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: expected auto, cpu, cuda or cuda:<number>, found {name!r}") from error
    if kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device: {name!r} is not there; this machine has {torch.cuda.device_count()} CUDA devices; use cpu or auto"
        )
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" and launched()[1] > 1 else name

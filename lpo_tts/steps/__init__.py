"""The verbs of the lpo-tts command, one module each; the table of their names, captions and modules."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from lpo_tts.steps.run import Plan, Run


class Actions(Protocol):
    """What the module of every verb offers."""

    def plans(self, run: "Run") -> "Sequence[Plan]":
        """The artefacts that the verb makes, before anything is done for them."""
        ...

    def execute(self, run: "Run", **options: Any) -> None:
        """Does it; artefacts that are complete are left alone. `options` are those of `Verb.options`."""
        ...


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        caption: what it reads and makes, for the command line.
        module: offers `plans` and `execute` (see `Actions`).
        makes: whether it is a step, which makes artefacts; other verbs look and say, and change nothing but for those that
            `writes` names.
        writes: whether it writes files though it is no step: a data set, a model folder, tables that are brought in.
        options: names of its own command-line options, which `execute` takes by name.
        shards: whether several processes may do it together, each a shard (`--shard i/n`).
        needs: those flags of the command line that must be given; the options of the others have defaults.
    """

    caption: str
    module: str
    makes: bool = True
    writes: bool = False
    options: tuple[str, ...] = ()
    shards: bool = False
    needs: tuple[str, ...] = ()

    def load(self) -> Actions:
        """Imports the module, and with it torch."""
        return cast("Actions", importlib.import_module(self.module))


VERBS = {
    "prompts": Verb("a manifest of recordings -> prompts.jsonl", "lpo_tts.steps.prompts"),
    "sample": Verb("prompts -> candidates/, K for each prompt, the very tokens", "lpo_tts.steps.sample", shards=True),
    "score": Verb(
        "listen to every candidate -> scores-<metric>.jsonl, comparisons-<name>.jsonl", "lpo_tts.steps.score", shards=True
    ),
    "pair": Verb("best and worst -> pairs.jsonl", "lpo_tts.steps.pair"),
    "reference": Verb("log-probs of the frozen model -> reference.safetensors", "lpo_tts.steps.reference", shards=True),
    "train": Verb("preference training -> run/", "lpo_tts.steps.train"),
    "synthesize": Verb("held-out prompts by base and aligned -> synthesized/", "lpo_tts.steps.synthesize"),
    "evaluate": Verb("judges listen -> report/report.json, report/report.html", "lpo_tts.steps.evaluate"),
    "check": Verb(
        "read a recipe with its files and parts, or a manifest.jsonl, run nothing; says everything that is wrong with them",
        "lpo_tts.steps.check",
        makes=False,
    ),
    "r2": Verb(
        "try several r2 in short pilot runs of the training, and say which are safe; changes nothing",
        "lpo_tts.steps.r2",
        makes=False,
        options=("steps", "values"),
    ),
    "export": Verb(
        "tables -> a Hugging Face data set (Parquet), or pairs in TRL's preference format",
        "lpo_tts.steps.export",
        makes=False,
        writes=True,
        options=("to", "what", "format", "system", "audio"),
        needs=("--to",),
    ),
    "import": Verb(
        "a data set -> tables of the run folder: those of export, or TRL's pairs with token ids",
        "lpo_tts.steps.import_",
        makes=False,
        writes=True,
        options=("source", "what", "system", "max_failed"),
        needs=("--from",),
    ),
    "push": Verb(
        "send the aligned model with a model card to the Hugging Face Hub, or write both into a folder",
        "lpo_tts.steps.push",
        makes=False,
        writes=True,
        options=("to", "system", "merge", "private", "licence", "without_figures", "yes"),
        needs=("--to",),
    ),
}
STEPS = tuple(name for name, verb in VERBS.items() if verb.makes)  # in the order of the pipeline
WHAT = ("manifest", "prompts", "candidates", "scores", "pairs")  # tables that a data set may have

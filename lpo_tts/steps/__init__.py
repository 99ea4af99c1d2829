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
        makes: whether it is a step, which makes artefacts; other verbs look and say, and change nothing.
        options: names of its own command-line options, which `execute` takes by name.
    """

    caption: str
    module: str
    makes: bool = True
    options: tuple[str, ...] = ()

    def load(self) -> Actions:
        """Imports the module, and with it torch."""
        return cast("Actions", importlib.import_module(self.module))


VERBS = {
    "prompts": Verb("a manifest of recordings -> prompts.jsonl", "lpo_tts.steps.prompts"),
    "sample": Verb("prompts -> candidates/, K for each prompt, the very tokens", "lpo_tts.steps.sample"),
    "score": Verb("listen to every candidate -> scores-<metric>.jsonl, comparisons-<name>.jsonl", "lpo_tts.steps.score"),
    "pair": Verb("best and worst -> pairs.jsonl", "lpo_tts.steps.pair"),
    "reference": Verb("log-probs of the frozen model -> reference.safetensors", "lpo_tts.steps.reference"),
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
}
STEPS = tuple(name for name, verb in VERBS.items() if verb.makes)  # in the order of the pipeline

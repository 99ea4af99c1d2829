"""Reports of several runs with few prompts, made by `summarise` from error counts that a test can work out by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole
from lpo_tts.comparison.results import Report, plain
from lpo_tts.comparison.summary import summarise
from lpo_tts.files import write_json
from lpo_tts.metrics.base import scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.records import Judgement

JUDGE = MetricRole(name="judge-wer", role="judge", label="Judge", tested=True, **asdict(scale_of(WordErrorRate)))
VOICE = MetricRole(name="judge-sim", role="judge", label="Voice", **asdict(scale_of(SpeakerSimilarity)))
WORDS = 4  # in every text
NUM_PROMPTS = 12

Errors = Sequence[int | None]  # per prompt, of its one candidate; None: no audio


def candidates(system: str, errors: Errors, seed: int = 0, prefix: str = "p") -> list[JudgedCandidate]:
    """One candidate per prompt; the similarity falls by 0.1 per error from 0.9."""
    found = []
    for k, count in enumerate(errors):
        judgements = {}
        if count is not None:
            judgements["judge-wer"] = Judgement(value=count / WORDS, weight=WORDS)
            judgements["judge-sim"] = Judgement(value=0.9 - count / 10)
        text = f"{prefix} {k} three four"
        common = {"text": text, "missing": count is None, "judgements": judgements, "duration": 1.0 + k / 10}
        found.append(JudgedCandidate(system=system, prompt_id=f"{prefix}{k:02d}", seed=seed, **common))
    return found


def report(systems: Mapping[str, Errors], *, prefix: str = "p", recipe: Any = None, judge: str = "A", **settings: Any) -> Report:
    """A report whose first system is the base."""
    rows = [one for system, errors in systems.items() for one in candidates(system, errors, prefix=prefix)]
    made = summarise(rows, [JUDGE, VOICE], next(iter(systems)), num_resamples=200, num_examples=1, **settings)
    judges = {"judge-wer": {"name": "wer", "model": judge}, "judge-sim": {"name": "similarity", "model": "voice"}}
    provenance = {"judges": judges} if recipe is None else {"judges": judges, "recipe": recipe}
    return replace(made, split="test", provenance=provenance)


def written(folder: Path, made: Report) -> Path:
    """The run folder with its report."""
    write_json(folder / "report" / "report.json", plain(made))
    return folder


def recipe(loss: str = "dpo", name: str = "mini", **settings: Any) -> dict[str, Any]:
    """The part of a recipe that labels are made of."""
    return {"name": name, "train": {"loss": {"name": loss, **settings}, "learning_rate": 1e-6}}


BASE: Errors = [1, 2] * (NUM_PROMPTS // 2)
GOOD: Errors = [0, 1] * (NUM_PROMPTS // 2)
BEST: Errors = [0, 0] * (NUM_PROMPTS // 2)

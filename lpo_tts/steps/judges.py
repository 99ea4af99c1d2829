"""Who judges the result of a training, and how that is reported: the section `evaluate` of a recipe."""

from dataclasses import dataclass, field

from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.comparison.candidates import Role
from lpo_tts.comparison.figures import Average
from lpo_tts.config import check_folder, check_name
from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Metric, is_advisory, scale_of
from lpo_tts.statistics import MIN_RESAMPLES
from lpo_tts.trackers.names import check_trackers


@dataclass(frozen=True)
class JudgeSettings:
    """One judge of the result.

    Attributes:
        metric: what it measures with.
        role: how it stands to the training: "judge" took no part in it, "training judge" ranked the pairs, "outside" is of
            another make, "advisory" is shown beside the others, "unstated" where nobody has said which.
        label: the judge's name in the report.
        max_candidates: at most so many candidates of each system are judged, the first ones; None = all. Not for a ratio.
        margin: the difference that is too small to matter, in the unit of the values (0.005 is half a point of a rate); the
            report then says whether two systems are equivalent, or one is not worse. None = it names none.
        tested: whether the judge's figure belongs to those that Holm's correction counts; None: where its role is "judge" or
            "unstated".
    """

    metric: Metric
    role: Role
    label: str
    max_candidates: int | None = None
    margin: float | None = None
    tested: bool | None = None

    bounds = {"max_candidates": at_least(1), "margin": above(0)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        scale = scale_of(self.metric)
        if scale.is_ratio and self.max_candidates is not None:
            raise ConfigError(
                f"max_candidates: a {scale.short} judge hears every candidate, or missing ones could not be counted"
            )

    @property
    def is_tested(self) -> bool:
        """Whether Holm's correction counts it."""
        if self.tested is not None:
            return self.tested
        return self.role in ("judge", "unstated") and not is_advisory(self.metric)


@dataclass(frozen=True)
class EvaluateSettings:
    """Who judges, and how it is reported.

    Attributes:
        judges: who judges, by names of your choice; the first one that is a ratio and of role judge gives the headline.
        separate_judges: refuse a judge whose model took part in the training, unless its role is "training judge".
        folder: name of the report's folder within the run folder.
        average: the figure of a ratio that headline, verdict and tests speak of: "corpus" (errors / words) or "utterance"
            (mean of ratios). Candidates without a value count as errors; with "_evaluated" behind it they are left out, as
            seed-tts-eval does, and the verdict says how many.
        num_examples: number of prompts to listen to in each of the groups better, worse and unchanged; half as many of every
            compared system but the first.
        embed: whether the page holds the audio of its examples; else it refers to the files beside it.
        confidence: of every interval.
        num_resamples: how often a bootstrap draws the prompts anew, for every interval.
        num_permutations: how often a permutation test flips the signs of the prompts' differences, where there are too many
            ways to count them all.
        trackers: where the figures and examples are sent as well: "tensorboard", "wandb".
    """

    judges: dict[str, JudgeSettings] = field(default_factory=dict)
    separate_judges: bool = False
    folder: str = "report"
    average: Average = "corpus"
    num_examples: int = 10
    embed: bool = True
    confidence: float = 0.95
    num_resamples: int = 10_000
    num_permutations: int = 10_000
    trackers: tuple[str, ...] = ()

    bounds = {
        "num_examples": at_least(0),
        "confidence": above(0).below(1),
        "num_resamples": at_least(MIN_RESAMPLES),
        "num_permutations": at_least(MIN_RESAMPLES),
    }

    def __post_init__(self) -> None:
        check_folder("folder", self.folder)
        check_settings(self, "")
        for name in self.judges:
            check_name("judges", name)
        check_trackers(self.trackers)

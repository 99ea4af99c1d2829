"""Intervals and tests: systems over the same prompts, whose seeds always stay together, and the answers of listeners."""

from lpo_tts.statistics.anytime import MARGIN, Advice, Evidence, advise
from lpo_tts.statistics.bootstrap import (
    PairedWer,
    bootstrap_mean,
    bootstrap_wer,
    paired_bootstrap_mean,
    paired_bootstrap_wer,
    relative_interval,
)
from lpo_tts.statistics.bradley_terry import log_strengths
from lpo_tts.statistics.corrections import holm
from lpo_tts.statistics.crossed import Crossed
from lpo_tts.statistics.draws import Draws, cluster_sums, resampled_sums
from lpo_tts.statistics.equivalence import Equivalence, equivalence_test
from lpo_tts.statistics.intervals import (
    CONFIDENCE,
    FEW_CLUSTERS,
    MIN_CLUSTERS,
    MIN_RESAMPLES,
    NUM_RESAMPLES,
    Interval,
    percentile_interval,
)
from lpo_tts.statistics.listeners import Spread, binomial_tail, listeners_needed, spread_of
from lpo_tts.statistics.permutation import NUM_PERMUTATIONS, Permutation, permutation_test, sign_test
from lpo_tts.statistics.power import POWER, detectable, influences, prompts_needed
from lpo_tts.statistics.quantiles import Quantiles

__all__ = [
    "CONFIDENCE",
    "FEW_CLUSTERS",
    "MARGIN",
    "MIN_CLUSTERS",
    "MIN_RESAMPLES",
    "NUM_PERMUTATIONS",
    "NUM_RESAMPLES",
    "POWER",
    "Advice",
    "Crossed",
    "Draws",
    "Equivalence",
    "Evidence",
    "Interval",
    "PairedWer",
    "Permutation",
    "Quantiles",
    "Spread",
    "advise",
    "binomial_tail",
    "bootstrap_mean",
    "bootstrap_wer",
    "cluster_sums",
    "detectable",
    "equivalence_test",
    "holm",
    "influences",
    "listeners_needed",
    "log_strengths",
    "paired_bootstrap_mean",
    "paired_bootstrap_wer",
    "percentile_interval",
    "permutation_test",
    "prompts_needed",
    "relative_interval",
    "resampled_sums",
    "sign_test",
    "spread_of",
]

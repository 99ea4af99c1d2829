"""Pair rules: which candidates of a prompt are preferred to which; the table of their names."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "rules",
    {
        "best_worst": "lpo_tts.rules.best_worst:BestWorst",
        "perfect_wrong": "lpo_tts.rules.perfect_wrong:PerfectWrong",
        "pareto": "lpo_tts.rules.pareto:Pareto",
        "percentile": "lpo_tts.rules.percentile:Percentile",
        "rank_sum": "lpo_tts.rules.rank_sum:RankSum",
        "weighted": "lpo_tts.rules.weighted:Weighted",
        "per_dimension": "lpo_tts.rules.per_dimension:PerDimension",
        "ending": "lpo_tts.rules.ending:Ending",
        "inter_model": "lpo_tts.rules.inter_model:InterModel",
        "ground_truth": "lpo_tts.rules.ground_truth:GroundTruth",
        "decoupled": "lpo_tts.rules.decoupled:Decoupled",
        "preferred": "lpo_tts.rules.preferred:Preferred",
        "votes": "lpo_tts.rules.votes:Votes",
        "labelled": "lpo_tts.rules.labelled:Labelled",
        "ranked": "lpo_tts.rules.ranked:Ranked",
    },
)

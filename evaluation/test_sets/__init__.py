"""Published test sets, read from a local copy as it was unpacked; the table of their names."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "test sets",
    {
        "cross_sentence": "evaluation.test_sets.cross_sentence:CrossSentence",
        "libritts": "evaluation.test_sets.drawn:LibriTTS",
        "mini": "evaluation.test_sets.mini:Mini",
        "minimax": "evaluation.test_sets.minimax:MiniMax",
        "own": "evaluation.test_sets.listed:Own",
        "seed_tts_eval": "evaluation.test_sets.listed:SeedTTSEval",
        "vctk": "evaluation.test_sets.drawn:VCTK",
    },
)

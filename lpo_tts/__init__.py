"""lpo-tts: preference alignment (LPO) for codec-language-model text-to-speech."""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "LPOConfig": "lpo_tts.training.config",
    "LPOTrainer": "lpo_tts.training.trainer",
    "PairExample": "lpo_tts.training.examples",
    "AnswerExample": "lpo_tts.training.examples",
    "ListExample": "lpo_tts.training.examples",
    "ReferenceLogps": "lpo_tts.training.reference",
    "Line": "lpo_tts.synthesis",
    "Synthesizer": "lpo_tts.synthesis",
    "compute_reference": "lpo_tts.training.reference",
    "tokenize_pairs": "lpo_tts.training.tokenizing",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(["__version__", *_PUBLIC])

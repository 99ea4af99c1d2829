"""Text front ends: how a text is written for a model, before its tokenizer reads it; one file each, named here."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "frontends",
    {
        "espeak": "lpo_tts.frontends.espeak:EspeakFrontEnd",
        "straight": "lpo_tts.frontends.straight:StraightFrontEnd",
    },
)

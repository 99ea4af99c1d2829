"""Metrics: what is measured of a piece of speech. `REGISTRY` maps the names recipes use to settings classes."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "metrics",
    {
        "cer": "lpo_tts.metrics.cer:CharacterErrorRate",
        "dnsmos": "lpo_tts.metrics.dnsmos:DNSMOS",
        "duration": "lpo_tts.metrics.duration:Duration",
        "similarity": "lpo_tts.metrics.similarity:SpeakerSimilarity",
        "wer": "lpo_tts.metrics.wer:WordErrorRate",
    },
)

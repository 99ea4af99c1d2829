"""Metrics: what is measured of a piece of speech. `REGISTRY` maps the names recipes use to settings classes."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "metrics",
    {
        "audiobox": "lpo_tts.metrics.audiobox:AudioboxAesthetics",
        "distillmos": "lpo_tts.metrics.distillmos:DistillMOS",
        "dnsmos": "lpo_tts.metrics.dnsmos:DNSMOS",
        "duration": "lpo_tts.metrics.duration:Duration",
        "nisqa": "lpo_tts.metrics.nisqa:NISQA",
        "similarity": "lpo_tts.metrics.similarity:SpeakerSimilarity",
        "utmos": "lpo_tts.metrics.utmos:UTMOS",
        "wer": "lpo_tts.metrics.wer:WordErrorRate",
    },
)

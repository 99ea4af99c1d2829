"""Metrics: what is measured of a piece of speech. `REGISTRY` maps the names recipes use to settings classes."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "metrics",
    {
        "audiobox": "lpo_tts.metrics.audiobox:AudioboxAesthetics",
        "cer": "lpo_tts.metrics.cer:CharacterErrorRate",
        "distillmos": "lpo_tts.metrics.distillmos:DistillMOS",
        "dnsmos": "lpo_tts.metrics.dnsmos:DNSMOS",
        "duration": "lpo_tts.metrics.duration:Duration",
        "ending": "lpo_tts.metrics.ending:Ending",
        "http": "lpo_tts.metrics.http:HttpMetric",
        "nisqa": "lpo_tts.metrics.nisqa:NISQA",
        "pauses": "lpo_tts.metrics.pauses:Pauses",
        "pitch_spread": "lpo_tts.metrics.pitch_spread:PitchSpread",
        "repetition": "lpo_tts.metrics.repetition:Repetition",
        "similarity": "lpo_tts.metrics.similarity:SpeakerSimilarity",
        "speaking_rate": "lpo_tts.metrics.speaking_rate:SpeakingRate",
        "utmos": "lpo_tts.metrics.utmos:UTMOS",
        "wer": "lpo_tts.metrics.wer:WordErrorRate",
    },
)

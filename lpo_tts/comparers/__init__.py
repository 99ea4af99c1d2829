"""Comparers: which of two candidates is better. `REGISTRY` maps the names recipes use to settings classes."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "comparers",
    {
        "http": "lpo_tts.comparers.http:HttpComparer",
        "metric": "lpo_tts.comparers.metric:MetricComparer",
    },
)

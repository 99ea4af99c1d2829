"""Engines: where the work of a step runs; the table of their names."""

from lpo_tts.registry import Registry

REGISTRY = Registry("engines", {"local": "lpo_tts.engines.local:Local", "ray": "lpo_tts.engines.ray:Ray"})

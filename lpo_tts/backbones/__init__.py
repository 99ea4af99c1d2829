"""Backbones: codec language models, seen as arithmetic between (text, voice) and token ids."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "backbones",
    {
        "flat": "lpo_tts.backbones.flat:FlatBackbone",
        "delay": "lpo_tts.backbones.delay:DelayBackbone",
        "depth": "lpo_tts.backbones.depth:DepthBackbone",
    },
)

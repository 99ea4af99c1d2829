"""Trackers: where figures and audio of an evaluation go beside its report; the table of their names, and `track`."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "trackers",
    {
        "tensorboard": "lpo_tts.trackers.tensorboard:TensorBoard",
        "wandb": "lpo_tts.trackers.wandb:WandB",
    },
)

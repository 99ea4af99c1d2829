"""Running mean of the weights over the last part of a run: one run's update is mostly gradient noise, its mean less so."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from lpo_tts.artefacts import read_tensors, write_tensors
from lpo_tts.errors import ArtefactError

FILE = "average.safetensors"
COUNT = "__count__"


class WeightAverage(TrainerCallback):
    """Averages the trainable weights after every optimizer step from a fraction of the steps on.

    The mean is float32 and stands in every checkpoint (`average.safetensors`), so that a resumed run ends with the
    same one. When training ends it takes the weights' place in the model, and so in whatever is saved then.

    Args:
        start: fraction of all steps in [0, 1) before averaging begins.
    """

    def __init__(self, start: float) -> None:
        self.start = start
        self.count = 0
        self.means: dict[str, Tensor] = {}

    def reset(self) -> None:
        """Forgets what was averaged."""
        self.count, self.means = 0, {}

    @torch.no_grad()
    def on_step_end(self, args, state, control, model: nn.Module, **kwargs) -> None:  # noqa: D102
        if state.global_step <= math.floor(self.start * state.max_steps):
            return
        weights = _trainable(model)
        self.count += 1
        if not self.means:
            self.means = {name: weight.detach().float().clone() for name, weight in weights.items()}
            return
        means, now = [self.means[name] for name in weights], [weight.detach().float() for weight in weights.values()]
        torch._foreach_lerp_(means, now, 1 / self.count)

    @torch.no_grad()
    def on_train_end(self, args, state, control, model: nn.Module, **kwargs) -> None:  # noqa: D102
        for name, weight in _trainable(model).items() if self.means else ():
            weight.copy_(self.means[name])

    def save(self, folder: Path) -> None:
        """Writes the mean and its count into a checkpoint folder."""
        write_tensors(folder / FILE, {**self.means, COUNT: torch.tensor(self.count)})

    def load(self, folder: Path) -> None:
        """Takes up the mean of a checkpoint; raises ArtefactError when the checkpoint has none."""
        path = folder / FILE
        if not path.exists():
            raise ArtefactError(f"{path}: missing; the checkpoint was made without average_from, so resume without it too")
        self.means = read_tensors(path)
        self.count = int(self.means.pop(COUNT))


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}

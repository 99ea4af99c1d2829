"""What the training programs share: curves as JSON lines, and checkpoints that survive a kill."""

import json
import os
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class Curve:
    """Appends rows to a JSON-lines file, and shows them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.started = time.monotonic()

    def log(self, **row: float | int | str) -> None:
        """Adds a row, with the seconds since this process began."""
        row = {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()}
        line = json.dumps({**row, "seconds": round(time.monotonic() - self.started, 1)})
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes safetensors through `<path>.partial`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, partial, metadata)
    os.replace(partial, path)


def save_json(path: Path, value: object) -> None:
    """Writes JSON through `<path>.partial`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def save_state(
    path: Path, step: int, seconds: float, model: nn.Module, optimizer: torch.optim.Optimizer, **extra: Tensor
) -> None:
    """Everything a training needs to go on: weights, AdamW's moments, step, seconds spent, further tensors."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    tensors |= {f"extra.{name}": value for name, value in extra.items()}
    tensors["progress"] = torch.tensor([float(step), seconds], dtype=torch.float64)
    save_tensors(path, tensors)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float, dict[str, Tensor]]:
    """The counterpart of `save_state`: fills model and optimizer; returns step, seconds spent, and the further tensors."""
    tensors = load_file(path)
    model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    step, seconds = tensors["progress"].tolist()
    return int(step), seconds, {name[6:]: value for name, value in tensors.items() if name.startswith("extra.")}


def cosine(step: int, steps: int, warmup: int, floor: float = 0.02) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    place = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + torch.cos(torch.tensor(place * torch.pi)).item())

"""A small training loop: every step is a pure function of its number, so that an interrupted run resumes exactly."""

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

WARM_UP = 0.06  # of all steps
SAVE_EVERY = 100  # steps
LOG_EVERY = 25  # steps


def fit(
    folder: Path,
    phase: str,
    net: nn.Module,
    loss_of: Callable[[int], Tensor],
    steps: int,
    rate: float,
    seed: int,
    weight_decay: float = 0.01,
) -> None:
    """Trains `net` in place with AdamW: warm-up, then half a cosine to zero; gradients clipped at norm 1.

    Args:
        folder: holds the state `<phase>.safetensors` and the curve `<phase>.jsonl` (step, loss, rate, seconds).
        phase: name of this part of the training; finished or half-done parts are taken up again.
        net: the network.
        loss_of: step number to loss; must depend on nothing else but the network and torch's generator, seeded per step.
        steps: number of steps.
        rate: peak learning rate.
        seed: together with the step's number it seeds dropout and whatever else draws from torch's generator.
        weight_decay: of AdamW.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state_path, curve_path = folder / f"{phase}.safetensors", folder / f"{phase}.jsonl"
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=weight_decay)
    start, seconds = _restore(state_path, net, optimiser), 0.0
    curve = [json.loads(line) for line in curve_path.read_text().splitlines()] if start and curve_path.is_file() else []
    curve = [row for row in curve if row["step"] <= start]
    seconds = curve[-1]["seconds"] if curve else 0.0
    net.train()
    recent: list[float] = []
    began = time.monotonic() - seconds
    with open(curve_path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in curve)
        for step in range(start, steps):
            torch.manual_seed(seed * 1_000_003 + step)
            for group in optimiser.param_groups:
                group["lr"] = rate * _schedule(step / steps)
            loss = loss_of(step)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            recent.append(loss.item())
            done = step + 1
            if done % LOG_EVERY == 0 or done == steps:
                row = {"step": done, "loss": sum(recent) / len(recent), "rate": optimiser.param_groups[0]["lr"]}
                row["seconds"] = round(time.monotonic() - began, 1)
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(f"{folder.name} {phase} {done}/{steps} loss {row['loss']:.4f} {row['seconds']:.0f} s", flush=True)
                recent.clear()
            if done % SAVE_EVERY == 0 or done == steps:
                _store(state_path, net, optimiser, done)
    net.eval()


def _schedule(place: float) -> float:
    if place < WARM_UP:
        return (place + 1e-3) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (place - WARM_UP) / (1 - WARM_UP)))


def _store(path: Path, net: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():  # a parameter without a gradient has none
        tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
    tensors["step"] = torch.tensor(step)
    partial = path.with_name(path.name + ".partial")
    save_file({name: value.detach().clone().contiguous() for name, value in tensors.items()}, partial)
    os.replace(partial, path)


def _restore(path: Path, net: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    tensors = load_file(path)
    net.load_state_dict({name[4:]: value for name, value in tensors.items() if name.startswith("net.")})
    saved = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    saved["state"] = state
    optimiser.load_state_dict(saved)
    return int(tensors["step"])

"""The training loop of the judges: every step is a pure function of its number, so that an interrupted run resumes exactly.

The codec and the base model have loops of their own, over the same states and curves of progress.py. The codec learns a
codebook between loss and step, the base model has two optimisers, and their schedule has another warm-up and floor: a
loop with room for all of that would be longer than the three.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from recipes.mini.pretrain.progress import SAVE_EVERY, Curve, load_state, save_state

WARM_UP = 0.06  # of all steps
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
    save_every: int = SAVE_EVERY,
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
        save_every: steps from one state to the next.
    """
    state_path = folder / f"{phase}.safetensors"
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=weight_decay)
    start, spent, extra = load_state(state_path, net, optimiser)
    curve = Curve(folder / f"{phase}.jsonl", start, spent)
    net.train()
    recent: list[float] = extra["recent"].tolist() if start else []
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
            curve.log(phase=phase, step=done, of=steps, loss=sum(recent) / len(recent), rate=optimiser.param_groups[0]["lr"])
            recent.clear()
        if done % save_every == 0 or done == steps:
            losses = torch.tensor(recent, dtype=torch.float64)  # so that the curve goes on exactly too
            save_state(state_path, done, curve.seconds, net, optimiser, recent=losses)
    net.eval()


def _schedule(place: float) -> float:
    if place < WARM_UP:
        return (place + 1e-3) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (place - WARM_UP) / (1 - WARM_UP)))

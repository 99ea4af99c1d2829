"""Clips spoilt on purpose: copies that nobody who listens prefers, and the low-pass anchors of MUSHRA."""

import hashlib
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from demo.listening.modes import LOWPASS
from lpo_tts import degradations
from lpo_tts.errors import ContractError

NOISE = 5.0  # dB that the speech is above the noise
SPEED = 1.4  # times: another voice, about six semitones higher
TAPS = 0.01  # seconds of an anchor's filter: steep enough to leave nothing 500 Hz above its edge

Spoil = Callable[[Tensor, int], Tensor]


def _noise(wave: Tensor, rate: int) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(wave.numpy().tobytes()).digest()[:6], "big")  # the same at every call
    return degradations.noisy(wave, NOISE, torch.Generator().manual_seed(seed))


WAYS: Mapping[str, Spoil] = {
    "cut": lambda wave, rate: degradations.without(wave, rate, 0.3, 0.45),  # words are missing in the middle
    "shift": lambda wave, rate: degradations.played(wave, rate, SPEED),
    "noise": _noise,
}


def damage_of_anchor(edge: int) -> str:
    """The name of what is done to an anchor; `edge`: Hz."""
    return f"{LOWPASS}{edge}"


def spoilt(wave: Tensor, rate: int, damage: str) -> Tensor:
    """A copy of a clip with the damage of a name.

    Args:
        wave: (num_samples,) float32.
        rate: Hz.
        damage: "cut", "shift", "noise", or "lowpass-" and Hz.

    Raises:
        ContractError: there is no such damage.
    """
    if damage.startswith(LOWPASS) and damage.removeprefix(LOWPASS).isdecimal():
        return low_passed(wave, rate, int(damage.removeprefix(LOWPASS)))
    if damage not in WAYS:
        raise ContractError(f"expected a damage of {', '.join(WAYS)} or {LOWPASS}HZ, found {damage!r}")
    return WAYS[damage](wave, rate)


def low_passed(wave: Tensor, rate: int, edge: int) -> Tensor:
    """Without what lies above `edge` Hz, as long and in the same place in time; unchanged where nothing does."""
    if edge >= rate / 2:
        return wave.clone()
    half = round(TAPS * rate)
    time = torch.arange(-half, half + 1, dtype=torch.float64)
    kernel = (
        2 * edge / rate * torch.sinc(2 * edge / rate * time) * torch.blackman_window(2 * half + 1, False, dtype=torch.float64)
    )
    kernel = kernel / kernel.sum()
    filtered = torch.nn.functional.conv1d(wave.double().reshape(1, 1, -1), kernel.reshape(1, 1, -1), padding=half)
    return filtered.reshape(-1).to(torch.float32)

"""Resemblyzer on recordings: one speaker's clips are alike, and a shifted voice is another one."""

import importlib.util

import pytest
import torch

from lpo_tts.speaker.resemblyzer import ResemblyzerEncoder


def test_clips_of_one_speaker_are_alike_and_a_shifted_voice_is_not(clips):
    if importlib.util.find_spec("resemblyzer") is None:
        pytest.skip("the package resemblyzer is not installed: pip install --no-deps resemblyzer")
    librosa = pytest.importorskip("librosa", reason="the package librosa is not installed")
    waves = [wave for _, _, wave in clips if wave.numel() >= 32000][:6]
    shifted = [torch.from_numpy(librosa.effects.pitch_shift(wave.numpy(), sr=16000, n_steps=5)) for wave in waves[:2]]
    vectors = ResemblyzerEncoder().load().embed([*waves, *shifted])
    own = vectors[: len(waves)] @ vectors[: len(waves)].T
    other = vectors[: len(waves)] @ vectors[len(waves) :].T
    assert float(own.min()) > float(other.max())
    assert float(own.min()) > 0.8

"""What the judges of the mini world are trained with: exact resume, distortions, features, equal error rate."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("espeakng_loader")
HOME = Path(__file__).parents[2] / "recipes" / "mini" / "pretrain"


def train(folder, steps, stop_at=None):
    from recipes.mini.pretrain import loop

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    net.unused = torch.nn.Parameter(torch.ones(2))  # has no gradient, as the conformer's mask embedding

    def loss_of(step):
        if step == stop_at:
            raise KeyboardInterrupt
        return net(torch.randn(16, 4, generator=torch.Generator().manual_seed(step))).square().mean()

    loop.fit(folder, "clean", net, loss_of, steps, 1e-2, seed=3)
    return net.state_dict()


def test_interrupted_and_resumed_is_uninterrupted(tmp_path, monkeypatch):
    from recipes.mini.pretrain import loop

    monkeypatch.setattr(loop, "SAVE_EVERY", 10)
    monkeypatch.setattr(loop, "LOG_EVERY", 10)
    whole = train(tmp_path / "whole", 40)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", 40, stop_at=27)
    resumed = train(tmp_path / "parts", 40)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    texts = [(tmp_path / kind / "clean.jsonl").read_text() for kind in ("whole", "parts")]
    curves = [[json.loads(line) for line in text.splitlines()] for text in texts]
    assert [(row["step"], row["loss"]) for row in curves[0]] == [(row["step"], row["loss"]) for row in curves[1]]
    assert [row["step"] for row in curves[0]] == [10, 20, 30, 40]


def test_batches_hang_on_seed_and_step_alone():
    from recipes.mini.pretrain import speech

    clips = [speech.Clip(str(i), "x", np.zeros(8000 + 1500 * (i % 20), np.int16)) for i in range(100)]
    one, other = speech.Batches(clips, 8, seed=1), speech.Batches(clips, 8, seed=1)
    one.at(0), one.at(40)
    for step in (3, 25):
        assert [clip.text for clip in one.at(step)[0]] == [clip.text for clip in other.at(step)[0]]
    chosen, audio, num_samples = one.at(5)
    assert audio.shape[1] % speech.BUCKET == 0
    assert audio.shape[1] >= int(num_samples.max()) == max(len(clip.samples) for clip in chosen)


def test_free_words_break_the_grammar_and_stay_in_the_train_split():
    import random

    from recipes.mini.pretrain import speech

    texts = [speech.free_words(random.Random(seed)) for seed in range(200)]
    assert all(speech.corpus.split_of(text) == "train" for text in texts)
    assert {len(text.split()) for text in texts} == set(range(1, 8))
    assert sum(text.split()[0] in speech.corpus.DIGITS for text in texts) > 30


def test_distortion_keeps_length_and_noise_stays_below_the_speech():
    from recipes.mini.pretrain import speech

    torch.manual_seed(0)
    time = torch.arange(16000) / 16000
    audio = (0.1 * torch.sin(2 * torch.pi * 440 * time)).repeat(8, 1)
    changed, lengths = speech.distort(audio, torch.full((8,), 16000), mild=True)
    assert changed.shape == audio.shape
    assert lengths.tolist() == [16000] * 8
    spectrum = torch.fft.rfft(changed).abs().square()
    share = spectrum[:, 430:451].sum(1) / spectrum.sum(1)
    assert float(share.min()) > 1 / (1 + 10**-1.7)  # at least 18 dB, less what of it falls into the tone's own bins


def test_features_are_those_of_transformers():
    from recipes.mini.pretrain import recognisers

    features = recognisers.KaldiFeatures()
    generator = torch.Generator().manual_seed(0)
    wave = 0.1 * torch.randn(9000, generator=generator)
    expected = features.extractor([wave.numpy()], sampling_rate=16000, return_tensors="pt")["input_features"][0]
    mels, lengths = features(torch.nn.functional.pad(wave[None], (0, 4000)), torch.tensor([9000]))
    found = mels[0, :, : int(lengths[0]) // 2 * 2].T.reshape(-1, 160)
    torch.testing.assert_close(found, expected[: len(found)], atol=2e-3, rtol=0)


def test_equal_error_rate_by_hand():
    pytest.importorskip("speechbrain")
    from recipes.mini.pretrain import floors

    targets, impostors = torch.tensor([0.9, 0.8, 0.7, 0.3]), torch.tensor([0.5, 0.2, 0.1, 0.0])
    assert floors.equal_error_rate(targets, impostors) == pytest.approx(0.25)
    assert floors.equal_error_rate(torch.tensor([0.9, 0.8]), torch.tensor([0.1, 0.2])) == pytest.approx(0.0)

"""Mel filters against librosa's."""

import pytest
import torch

from lpo_tts.mel import mel_triangles, slaney_triangles


@pytest.mark.slow  # librosa compiles for seconds
def test_filters_are_those_of_librosa():
    librosa = pytest.importorskip("librosa")
    for rate, size, bands in ((16000, 400, 40), (24000, 1024, 80)):
        ours = slaney_triangles(rate, size, bands).numpy()
        assert ours == pytest.approx(librosa.filters.mel(sr=rate, n_fft=size, n_mels=bands), abs=1e-7)
        plain = mel_triangles(rate, size, bands).numpy()
        assert plain == pytest.approx(librosa.filters.mel(sr=rate, n_fft=size, n_mels=bands, htk=True, norm=None), abs=1e-5)


def test_triangles_rise_to_one_between_their_neighbours():
    filters = mel_triangles(16000, 4096, 20)
    assert float(filters.max()) <= 1.0
    assert torch.all(filters.max(dim=1).values > 0.9)
    first, second = filters[3].argmax(), filters[4].argmax()
    assert float(filters[4, first]) < 0.01, "the next triangle begins where this one is highest"
    assert float(filters[3, second]) < 0.01

"""Clips in memory: one loudness, ranges, and no more of them than may be kept."""

import io

import pytest

pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

import soundfile
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient

from demo.clips import LONGEST, Clips, router
from demo.listening.loudness import TARGET, loudness

RATE = 16000


def tone(level, seconds=1.0):
    return level * torch.sin(torch.arange(int(RATE * seconds)) * 0.1)


@pytest.fixture
def clips():
    return Clips()


@pytest.fixture
def client(clips):
    app = FastAPI()
    app.include_router(router(clips))
    with TestClient(app) as made:
        yield made


def test_what_is_played_has_one_loudness_and_what_is_saved_is_as_it_was_made(clips, client):
    found = [clips.add(tone(level), RATE) for level in (0.01, 0.1)]
    for clip, level in zip(found, (0.01, 0.1), strict=True):
        played, rate = soundfile.read(io.BytesIO(client.get(clip.played).content))
        assert loudness(torch.from_numpy(played), rate) == pytest.approx(TARGET, abs=0.1)
        saved, _ = soundfile.read(io.BytesIO(client.get(clip.saved).content))
        assert abs(saved).max() == pytest.approx(level, abs=1e-3)


def test_a_player_can_jump(clips, client):
    clip = clips.add(tone(0.1), RATE)
    whole = client.get(clip.played)
    assert (whole.status_code, whole.headers["accept-ranges"], whole.headers["cache-control"]) == (200, "bytes", "no-store")
    for wanted, part in (
        ("bytes=100-199", whole.content[100:200]),
        ("bytes=-50", whole.content[-50:]),
        ("bytes=9-", whole.content[9:]),
    ):
        got = client.get(clip.played, headers={"range": wanted})
        assert (got.status_code, got.content) == (206, part)
        assert got.headers["content-range"].endswith(f"/{len(whole.content)}")
    assert client.get(clip.played, headers={"range": "bytes=9999999-"}).status_code == 416
    for odd in ("bytes=a-b", "bytes=-", b"bytes=\xb2-", "lines=1-2", "bytes=1-2,4-5"):
        assert client.get(clip.played, headers={"range": odd}).content == whole.content


def test_the_oldest_clips_are_forgotten_and_addresses_cannot_be_guessed(client):
    kept = Clips(kept=3 * 8 * RATE)
    found = [kept.add(tone(0.1), RATE) for _ in range(5)]
    assert [kept.get(one.token) is not None for one in found] == [False, False, True, True, True]
    assert len({one.token for one in found}) == 5
    assert min(len(one.token) for one in found) >= 20
    assert client.get("/clips/none.wav").status_code == 404


def test_a_clip_is_cut_where_nobody_listens_any_more(clips):
    assert clips.add(tone(0.1, LONGEST + 5), RATE).seconds == LONGEST


def test_silence_can_be_played(clips, client):
    assert client.get(clips.add(torch.zeros(RATE), RATE).played).status_code == 200

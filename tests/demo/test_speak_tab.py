"""The handlers of the tab "Speak", on a real small run: what they put on the page, and what they refuse."""

import re

import numpy as np
import pytest
import torch

pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")
pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

from demo import speak_tab
from demo.clips import Clips
from demo.live import Answer, Asked, Live, Take
from demo.run_folder import open_run
from demo.speak_view import View
from demo.studio import CandidateAudio
from lpo_tts import audio


@pytest.fixture(scope="module")
def live(tiny_run):
    return Live(open_run(tiny_run))


@pytest.fixture
def clips():
    return Clips()


def spoken(
    live, clips, text="gate one", voice="", upload=None, said="", temperature=1.0, top_p=1.0, seed=3, count=1, system="aligned"
):
    voice = live.session.voices()[0].id if voice == "" else voice
    return list(speak_tab.speak(live, clips, text, voice, upload, said, temperature, top_p, seed, count, system))


def refused(live, clips, **changes):
    """What the page says of the first fault; the answer that stood there stays."""
    *_, (answer, status) = spoken(live, clips, **changes)
    assert not isinstance(answer, str)
    assert status.startswith('<div class="message" role="alert">')
    return status


def test_both_systems_stand_side_by_side_with_players_pictures_words_and_figures(live, clips):
    html, status = spoken(live, clips)[-1]
    assert html.index('aria-label="base"') < html.index('aria-label="aligned"')
    tokens = re.findall(r'data-src="clips/([\w-]+)\.wav"', html)
    assert len(tokens) == 2
    assert all(clips.get(token) is not None for token in tokens)
    assert html.count('class="sound"') == 2
    assert html.count('<span class="label">Heard</span>') == 2
    assert html.count("<dt>WER</dt>") == 2
    assert html.count("of 2 words") >= 2
    assert 'download="base-seed3.wav"' in html
    assert re.search(r"2 candidates: spoken in \d+\.\d\d s, judged in \d+\.\d\d s\.", status)


def test_all_candidates_are_listed_the_best_first(live, clips):
    html, _ = spoken(live, clips, count=3)[-1]
    assert html.count("best of the candidates") == 2
    assert html.count("Other candidates, best first") == 2
    assert sorted(re.findall(r'<p class="which">seed (\d)', html)) == ["3", "3", "4", "4", "5", "5"]


def test_a_clip_stays_the_same_while_its_answer_grows(live, clips):
    tokens = [re.findall(r'data-src="clips/([\w-]+)\.wav"', str(html)) for html, _ in spoken(live, clips)]
    assert [len(found) for found in tokens[:3]] == [0, 1, 2]
    assert tokens[2] == tokens[-1]


def test_what_was_spoken_before_stays_unless_the_new_takes_a_while(live, clips, monkeypatch):
    spoken(live, clips)  # tells the pace
    monkeypatch.setattr(live, "_pace", {"base": 0.1, "aligned": 0.1})
    assert not isinstance(spoken(live, clips)[0][0], str)
    monkeypatch.setattr(live, "_pace", {"base": 9.0, "aligned": 9.0})
    assert 'class="waiting"' in spoken(live, clips)[0][0]
    monkeypatch.setattr(live, "_pace", {"base": 9.0, "aligned": 9.0})
    answer, status = spoken(live, clips, text="gate hello")[-1]
    assert answer == speak_tab.EMPTY
    assert "vocabulary" in status


def test_one_system_alone_can_speak(live, clips):
    html, _ = spoken(live, clips, system="base")[-1]
    assert 'aria-label="aligned"' not in html


def test_what_does_not_fit_is_said_on_the_page(live, clips):
    assert "the word &#x27;hello&#x27; is not in the vocabulary" in refused(live, clips, text="gate hello")
    assert "expected a text to speak, found an empty one" in refused(live, clips, text="  ")
    assert "at most 1000 characters" in refused(live, clips, text="gate " * 500)
    assert "seed: expected a whole number, found nan" in refused(live, clips, seed=float("nan"))
    assert "candidates must be at least 1 and at most 8" in refused(live, clips, count=100)
    assert "top_p" in refused(live, clips, top_p=2.0)
    assert "temperature" in refused(live, clips, temperature=-1.0)
    assert "found &#x27;&lt;b&gt;&#x27;" in refused(live, clips, system="<b>")


def test_an_uploaded_recording_is_the_voice_when_its_length_will_do(live, clips, tmp_path):
    audio.write(tmp_path / "mine.wav", 0.1 * torch.sin(torch.arange(24000) * 0.1), 24000)
    html, _ = spoken(live, clips, voice=None, upload=str(tmp_path / "mine.wav"))[-1]
    assert "clips/" in html
    for seconds in (0.1, 31):
        audio.write(tmp_path / "other.wav", 0.1 * torch.sin(torch.arange(int(24000 * seconds)) * 0.1), 24000)
        assert "expected 0.8 to 30 s of one voice" in refused(live, clips, upload=str(tmp_path / "other.wav"))
    assert "at most 1000 characters that the recording says" in refused(
        live, clips, upload=str(tmp_path / "mine.wav"), said="x" * 1001
    )


@pytest.mark.parametrize(("value", "reason"), [(float("nan"), "NaN|finite"), (0.0, "silen")])
def test_a_recording_that_holds_no_voice_is_refused_with_the_reason(live, clips, tmp_path, value, reason):
    import soundfile

    soundfile.write(tmp_path / "bad.wav", np.full(24000, value, np.float32), 24000, subtype="FLOAT")
    said = refused(live, clips, upload=str(tmp_path / "bad.wav"))
    assert re.search(reason, said)
    assert str(tmp_path) not in said


def test_the_chosen_voice_can_be_heard(live, clips):
    html = speak_tab.show_voice(live.session, clips, live.session.voices()[0].id)
    assert 'aria-label="Play the voice of s' in html
    assert "It says: " in html
    assert speak_tab.show_voice(live.session, clips, "no such voice") == ""


def test_a_candidate_without_sound_is_said_to_have_none(clips):
    asked = Asked(text="gate", voice=None, systems=("<i>",), temperature=1.0)
    nothing = CandidateAudio(audio=None, sample_rate=16000, finished=False, status="<b>")
    html = View(clips).html(Answer(asked=asked, takes=(Take(system="<i>", seed=0, candidate=nothing),)))
    assert "Nothing in this candidate can be decoded" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "<i>" not in html

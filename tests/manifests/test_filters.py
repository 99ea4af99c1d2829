"""Filters: each leaves out what it says, under its name, and changes nothing for the others."""

import sys

import numpy as np
import pytest
import soundfile

from lpo_tts import audio
from lpo_tts.artefacts import Provenance
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.manifests import examining, filters
from lpo_tts.manifests.levels import Levels
from lpo_tts.manifests.options import Options
from lpo_tts.manifests.recordings import Dropped, Recording
from lpo_tts.manifests.scripts import other_script
from lpo_tts.manifests.sentences import num_characters
from lpo_tts.manifests.writing import write
from lpo_tts.metrics import dnsmos

RATE = 8000
TONE = (0.5 * np.sin(np.arange(2 * RATE) / 5)).astype(np.float32)


@pytest.fixture
def one(tmp_path):
    """A recording of two seconds."""

    def make(samples=TONE, **changes):
        path = tmp_path / "raw" / "a.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, samples, RATE, subtype="FLOAT")
        return Recording(**{"id": "a", "audio": path, "text": "Twelve letters", "speaker": "s", **changes})

    return make


@pytest.fixture
def checked(tmp_path):
    return lambda recording, **options: examining.check(recording, Options(out=tmp_path / "manifest.jsonl", **options))


def assert_left_out(result, name, reason):
    assert isinstance(result, Dropped)
    assert (result.fault, result.filter) == (False, name)
    assert reason in result.reason


def test_characters_are_letters_and_digits_and_a_chinese_one_is_one():
    assert num_characters("It's 7:05, o'clock — “née”!") == len("Its705oclocknée")
    assert num_characters("ｎｅ́e") == 3
    assert num_characters("今天天气很好。") == 6
    assert num_characters("한국어") == 3


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"min_chars_per_second": 7}, "6.50 characters per second lie outside 7 and more"),
        ({"max_chars_per_second": 6}, "6.50 characters per second lie outside 0 to 6"),
        ({"min_chars_per_second": 1, "max_chars_per_second": 2.5}, "6.50 characters per second lie outside 1 to 2.5"),
    ],
)
def test_characters_per_second(one, checked, bounds, reason):
    assert_left_out(checked(one(), **bounds), "characters_per_second", reason)
    assert not isinstance(checked(one(), min_chars_per_second=6.5, max_chars_per_second=6.5), Dropped)


@pytest.mark.parametrize(
    ("language", "wanted", "kept"),
    [
        ("en", ("en",), True),
        ("en_GB", ("en",), True),
        ("zh-CN", ("en", "zh-cn"), True),
        ("zh", ("zh-cn",), False),
        ("english", ("en",), False),
        ("de", (), True),
    ],
)
def test_rows_of_other_languages_are_left_out_before_audio_is_read(one, checked, language, wanted, kept):
    recording = one(language=language)
    if kept:
        assert not isinstance(checked(recording, languages=wanted), Dropped)
    else:
        recording.audio.write_bytes(b"broken")
        assert_left_out(checked(recording, languages=wanted), "language", f"language {language!r} is none of")


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("Guten Tag, 你好", "de", None),
        ("Привет, мир", "en", "9 of 9 letters are not Latin, as language en is written, but Cyrillic"),
        ("hello there", "zh-CN", "10 of 10 letters are not Chinese, as language zh-CN is written, but Latin"),
        ("用 Python 写", "zh", "6 of 8 letters"),
        ("東京タワーのﾃﾚﾋﾞ々", "ja", None),
        ("안녕하세요", "ko", None),
        ("नमस्ते दुनिया", "hi", None),
        ("Ђорђе Đorđe", "sr", None),
        ("whatever", "xx", None),
        ("1234 ...", "ru", None),
    ],
)
def test_text_in_another_script_than_its_language(text, language, found):
    result = other_script(text, language)
    assert result is None if found is None else result.startswith(found)


def test_the_script_is_checked_on_demand(one, checked):
    recording = one(text="Привет, мир")
    assert not isinstance(checked(recording), Dropped)
    assert_left_out(checked(recording, check_script=True), "script", "letters are not Latin")


def test_clipping_is_the_share_of_samples_at_full_scale_on_any_channel(one, checked):
    samples = np.stack([TONE, TONE], 1)
    samples[:80, 0], samples[80:160, 0] = 1.0, -1.0  # the mix of both channels is not clipped
    recording = one(samples)
    assert_left_out(
        checked(recording, max_clipping=0.004), "clipping", "0.500% of the samples are at full scale, more than 0.400%"
    )
    assert not isinstance(checked(recording, max_clipping=0.005), Dropped)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_full_scale_is_found_in_every_format(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", np.clip(4 * TONE, -1, 1), RATE, subtype=subtype)
    levels = Levels()
    audio.measure(tmp_path / "a.wav", levels.add)
    assert levels.clipping == pytest.approx(np.mean(np.abs(4 * TONE) >= 1), abs=1e-3)


def test_silence_is_the_share_of_frames_far_below_the_loud_ones(one, checked):
    samples = TONE.copy()
    samples[RATE // 2 : RATE] *= 0.01
    assert_left_out(checked(one(samples), max_silence=0.2), "silence", "25.0% of the frames are 30 dB below the loud ones")
    assert not isinstance(checked(one(samples), max_silence=0.25), Dropped)
    samples[RATE // 2 : RATE] *= 10
    assert not isinstance(checked(one(samples), max_silence=0.0), Dropped)


def test_levels_do_not_depend_on_how_the_recording_is_cut_into_blocks(tmp_path, monkeypatch):
    samples = np.random.default_rng(0).normal(0, 0.3, 30_000).astype(np.float32) * np.repeat([1, 0.001, 0.5], 10_000)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    found = []
    for block in (1 << 18, 997, 64):
        monkeypatch.setattr(audio, "BLOCK", block)
        levels = Levels(keep=9)
        audio.measure(tmp_path / "a.wav", levels.add)
        found.append((levels.clipping, levels.silence, np.concatenate(levels.kept).tobytes()))
    assert found[0] == found[1] == found[2]
    assert found[0][1] == pytest.approx(1 / 3, abs=0.01)


def test_an_offset_is_no_sound():
    levels = Levels()
    mix = np.concatenate([TONE, np.zeros(2 * RATE, np.float32)]) + 0.3
    levels.add(mix, mix[:, None], RATE)
    assert levels.silence == pytest.approx(0.5, abs=0.01)


def test_dnsmos_is_what_the_corpus_says(one, checked):
    recording = one(tags={"dnsmos": "2.914"})
    assert_left_out(checked(recording, min_dnsmos=3), "dnsmos", "DNSMOS 2.91, less than 3")
    assert not isinstance(checked(recording, min_dnsmos=2.9), Dropped)
    broken = checked(one(tags={"dnsmos": "good"}), min_dnsmos=3)
    assert broken.fault
    assert broken.reason == "the tag dnsmos: expected a number, found 'good'"


@pytest.mark.slow
def test_dnsmos_is_measured_where_the_corpus_says_nothing(tmp_path, one):
    pytest.importorskip("speechmos")
    options = Options(out=tmp_path / "manifest.jsonl", min_dnsmos=4.9)
    recording = one()
    result = examining.check(recording, options, filters.load_dnsmos(options))
    wave, rate = audio.read(recording.audio)
    (judged,) = dnsmos.DNSMOS().load().judge([dnsmos.Speech(id="a", audio=wave, sample_rate=rate, text="")])
    assert_left_out(result, "dnsmos", f"DNSMOS {judged.value:.2f}, less than 4.9")


def test_a_missing_package_is_named_before_anything_is_read(tmp_path, one, monkeypatch):
    monkeypatch.setitem(sys.modules, "speechmos", None)
    options = Options(out=tmp_path / "manifest.jsonl", min_dnsmos=3)
    with pytest.raises(ComponentError, match=r"dnsmos needs speechmos and onnxruntime .*pip install 'lpo-tts\[mini\]'"):
        write([one()], options, Provenance("test", {}, {}))


def test_no_filter_means_no_levels(tmp_path, one):
    assert filters.new_levels(one(), Options(out=tmp_path / "m.jsonl")) is None
    assert filters.new_levels(one(), Options(out=tmp_path / "m.jsonl", max_clipping=0.1)).keep == 0
    assert filters.new_levels(one(), Options(out=tmp_path / "m.jsonl", min_dnsmos=3, max_duration=20)).keep == 20
    assert filters.new_levels(one(tags={"dnsmos": "3"}), Options(out=tmp_path / "m.jsonl", min_dnsmos=3)).keep == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_clipping": 1.5}, "max_clipping must be at least 0 and at most 1, found 1.5"),
        ({"max_silence": -0.1}, "max_silence must be at least 0"),
        ({"min_dnsmos": 0.5}, "min_dnsmos must be at least 1 and at most 5"),
        ({"min_chars_per_second": 9, "max_chars_per_second": 3}, "max_chars_per_second must be at least 9, found 3"),
        ({"by": "voice"}, "by = 'voice' is none of sentence, speaker"),
        ({"workers": -1}, "workers must be at least 0"),
    ],
)
def test_bounds_out_of_range_are_refused(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        Options(out=tmp_path / "m.jsonl", **changes)

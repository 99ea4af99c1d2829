"""Recordings of the page: embedded without loss, within a budget, and told where they cannot be read."""

import base64
import io

import numpy as np
import pytest
import soundfile

from lpo_tts.comparison.results import Example, Side
from lpo_tts.report.listening import anchors, gather
from tests.report.pages import parsed, small_report, write_tone


def example(*names, prompt_id="p", missing=False):
    sides = [
        Side(
            system=f"system {k}",
            audio=name,
            missing=missing,
            finished=True,
            duration=1.0,
            hypothesis=None,
            alignment=None,
            values={},
        )
        for k, name in enumerate(names)
    ]
    return Example(system="system 1", group="improved", prompt_id=prompt_id, seed=0, text="a b", tags={}, sides=tuple(sides))


def decoded(source):
    kind, data = source.split(",", 1)
    assert kind == "data:audio/flac;base64"
    file = soundfile.SoundFile(io.BytesIO(base64.b64decode(data)))
    return file.read(dtype="int32"), file.samplerate, file.subtype


@pytest.mark.parametrize(("subtype", "kept"), [("PCM_16", "PCM_16"), ("PCM_24", "PCM_24")])
def test_embedded_audio_holds_the_samples_of_the_file(tmp_path, subtype, kept):
    samples = write_tone(tmp_path / "a.wav", rate=24000, subtype=subtype)
    clip = gather([example("a.wav")], tmp_path).rows[0][0]
    found, rate, found_subtype = decoded(clip.source)
    assert clip.embedded
    assert (rate, found_subtype) == (24000, kept)
    assert np.array_equal(found, samples)


def test_both_channels_are_kept(tmp_path):
    stereo = np.stack([np.linspace(-1, 1, 4800), np.linspace(1, -0.5, 4800)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 48000, subtype="PCM_16")
    found, rate, _ = decoded(gather([example("a.wav")], tmp_path).rows[0][0].source)
    assert rate == 48000
    assert np.array_equal(found, soundfile.read(tmp_path / "a.wav", dtype="int32")[0])


def test_what_is_beyond_the_budget_is_linked_and_an_example_is_never_halved(tmp_path):
    for name in ("a#1.wav", "b.wav", "c.wav", "d.wav"):
        write_tone(tmp_path / name)
    rows = [example("a#1.wav", "b.wav"), example("c.wav", "d.wav")]
    sizes = [[len(clip.source) for clip in row] for row in gather(rows, tmp_path).rows]
    clips = gather(rows, tmp_path, budget=sum(sizes[0]) + sizes[1][0])
    assert [clip.embedded for row in clips.rows for clip in row] == [True, True, False, False]
    assert [clip.source for clip in clips.rows[1]] == ["c.wav", "d.wav"]
    assert (clips.num_embedded, clips.num_beside) == (2, 2)
    linked = gather(rows, tmp_path, embed=False)
    assert [clip.source for clip in linked.rows[0]] == ["a%231.wav", "b.wav"]
    assert all("<svg" in clip.picture for row in linked.rows for clip in row)


def test_what_cannot_be_read_is_told_and_the_other_side_stands(tmp_path):
    write_tone(tmp_path / "good.wav")
    (tmp_path / "torn.wav").write_bytes(b"RIFF....")
    (tmp_path / "text.wav").write_text("no audio")
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16000, subtype="FLOAT")
    names = ("good.wav", "torn.wav", "text.wav", "nothing.wav", "nan.wav", "absent.wav")
    clips = gather([example(*names)], tmp_path).rows[0]
    assert clips[0].embedded
    assert clips[0].fault == ""
    for name, clip in zip(names[1:], clips[1:], strict=True):
        assert clip.fault.startswith(f"{name}: expected"), clip.fault  # and no folder of this machine
        assert clip.source == ""
        assert clip.picture == ""


def test_a_long_recording_is_linked_and_a_missing_one_left_alone(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.zeros(121 * 4000), 4000)
    clip = gather([example("long.wav")], tmp_path).rows[0][0]
    assert (clip.source, clip.embedded, clip.picture, clip.fault) == ("long.wav", False, "", "")
    assert gather([example("gone.wav", missing=True)], tmp_path).rows[0][0].fault == ""


def test_the_page_says_where_its_recordings_are(tmp_path):
    report = small_report()
    _, checker, text = parsed(report, tmp_path)
    assert "this recording cannot be read" in text
    assert "samples/a.wav: expected an audio file, found" in text
    assert not [tag for tag, _ in checker.tags if tag == "audio"]
    write_tone(tmp_path / "samples" / "a.wav")
    for k in range(6):
        write_tone(tmp_path / "samples" / f"p{k}#1.wav")
    _, checker, text = parsed(report, tmp_path)
    sources = [attributes["src"] for tag, attributes in checker.tags if tag == "audio"]
    assert len(sources) == sum(len(row.sides) for row in report.examples.rows)
    assert all(source.startswith("data:audio/flac;base64,") for source in sources)
    assert "All recordings lie within this page" in text
    _, _, text = parsed(report, tmp_path, budget=1 + 2 * max(map(len, sources)))
    assert "2 recordings lie within this page. The other" in text


def test_prompts_know_their_first_example():
    rows = [example(prompt_id="a"), example(prompt_id="b"), example(prompt_id="a")]
    assert anchors(rows) == {"a": "example-1", "b": "example-2"}

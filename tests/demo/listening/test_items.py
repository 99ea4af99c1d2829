"""What can be listened to in a run folder, and in folders of audio."""

import shutil

import pytest
import torch

from demo.listening.items import candidate_items, folder_items, system_items
from demo.listening.modes import REFERENCE, Side, draw
from demo.listening.sounds import Sounds
from lpo_tts import audio
from lpo_tts.errors import ArtefactError

pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")


def decoded(wav):
    import io

    import soundfile

    samples, rate = soundfile.read(io.BytesIO(wav.data), dtype="float32")
    return torch.from_numpy(samples), rate


def sides(*names):
    return tuple(Side(label=label, name=name) for label, name in zip("ABCDEF", names, strict=False))


def test_folders_of_audio_are_items_by_their_list(folder, items):
    assert [item.id for item in items] == [f"p{k}#0" for k in range(8)]
    first = items[0]
    assert (first.prompt_id, first.text, first.names) == ("p0", "text number 0", ("base", "aligned"))
    assert first.voice.samefile(folder / "voice" / "p0.wav")
    assert first.reference.samefile(folder / "target" / "p0.wav")
    assert first.clips["base"].path == folder / "base" / "p0.wav"
    assert not first.alike("base", "aligned")
    assert first.alike("base", "base")


def test_a_text_that_a_system_did_not_speak_is_an_item_without_its_clip(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "less")
    (tmp_path / "less" / "aligned" / "p3.wav").unlink()
    found = folder_items(tmp_path / "less" / "list.jsonl", {name: tmp_path / "less" / name for name in ("base", "aligned")})
    assert [item.names for item in found if item.prompt_id == "p3"] == [("base",)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtefactError, match="expected audio named after its ids"):
        folder_items(folder / "list.jsonl", {"base": tmp_path / "empty"})


@pytest.mark.parametrize("kind", ["voice", "target"])
def test_a_recording_of_the_list_that_is_not_there_is_refused_before_anybody_listens(folder, tmp_path, kind):
    shutil.copytree(folder, tmp_path / "less")
    (tmp_path / "less" / kind / "p3.wav").unlink()
    with pytest.raises(ArtefactError, match=rf"list.jsonl:4: the {kind} of 'p3': expected a recording .*p3.wav, found none"):
        folder_items(tmp_path / "less" / "list.jsonl", {"base": tmp_path / "less" / "base"})


def test_the_clips_of_a_trial_have_one_loudness_and_one_sample_rate(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "mixed")
    wave, rate = audio.read(folder / "aligned" / "p0.wav")
    audio.write(tmp_path / "mixed" / "aligned" / "p0.wav", audio.resample(wave, rate, 24000) * 0.01, 24000)
    (item, *_) = folder_items(
        tmp_path / "mixed" / "list.jsonl", {name: tmp_path / "mixed" / name for name in ("base", "aligned")}
    )
    wavs = Sounds().of(item, "ab", sides("base", "aligned"), "")
    assert set(wavs) == {"A", "B", "voice"}
    heard = {label: decoded(wav) for label, wav in wavs.items()}
    assert {rate for _, rate in heard.values()} == {24000}
    levels = [audio.rms_db(wave) for wave, _ in heard.values()]
    assert max(levels) - min(levels) < 1.5  # of noise of one colour; BS.1770 weighs what resampling has cut off
    assert wavs["A"].seconds == pytest.approx(0.2, abs=0.001)


def test_labels_follow_the_sides_and_x_is_one_of_them(items):
    sounds = Sounds()
    one = sounds.of(items[0], "abx", sides("base", "aligned"), "B")
    other = sounds.of(items[0], "abx", sides("aligned", "base"), "B")
    assert one["A"].data == other["B"].data != one["B"].data
    assert one["X"].data == one["B"].data
    assert other["X"].data == other["B"].data


def test_mushra_plays_the_reference_open_and_hidden_beside_its_anchors(items):
    clips = [Side(label="", name="base"), Side(label="", name=REFERENCE), Side(label="", name=REFERENCE, damage="lowpass-3500")]
    drawn, reference = draw("mushra", clips)
    wavs = Sounds().of(items[0], "mushra", drawn, reference)
    assert set(wavs) == {"A", "B", "C", "reference", "voice"}
    by_damage = {(side.name, side.damage): wavs[side.label].data for side in drawn}
    assert by_damage[REFERENCE, ""] == wavs["reference"].data
    assert len(set(by_damage.values())) == 3


def test_clips_that_turn_out_to_be_the_same_are_told(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "twins")
    shutil.copy(folder / "base" / "p0.wav", tmp_path / "twins" / "aligned" / "p0.wav")
    (item, *_) = folder_items(
        tmp_path / "twins" / "list.jsonl", {name: tmp_path / "twins" / name for name in ("base", "aligned")}
    )
    assert item.alike("base", "aligned")
    with pytest.raises(ArtefactError, match="p0#0: aligned and base are the same to the last bit"):
        Sounds().of(item, "ab", sides("base", "aligned"), "")
    twice = (Side(label="A", name="base"), Side(label="B", name="base"))
    assert len({wav.data for label, wav in Sounds().of(item, "ab", twice, "").items() if label in "AB"}) == 1


def test_memory_holds_the_last_clips_alone(items):
    sounds = Sounds(kept=1)
    for item in (*items, *items):
        sounds.of(item, "mos", sides("base"), "")
    assert len(sounds._made) == 1


def test_what_cannot_be_played_is_told(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "bad")
    (tmp_path / "bad" / "aligned" / "p0.wav").write_bytes(b"RIFF no")
    audio.write(tmp_path / "bad" / "aligned" / "p1.wav", 0.1 * torch.randn(8000 * 121), 8000)
    first, second, *_ = folder_items(
        tmp_path / "bad" / "list.jsonl", {name: tmp_path / "bad" / name for name in ("base", "aligned")}
    )
    with pytest.raises(ArtefactError, match=r"p0\.wav"):
        Sounds().of(first, "mos", sides("aligned"), "")
    with pytest.raises(ArtefactError, match="p1#0 of aligned: expected at most 120 s to listen to, found 121 s"):
        Sounds().of(second, "mos", sides("aligned"), "")
    with pytest.raises(ArtefactError, match="there is no clip of other"):
        Sounds().of(second, "mos", sides("other"), "")


def test_a_run_gives_its_held_out_prompts_and_the_candidates_of_its_training_prompts(tiny_run):
    from demo.run_folder import open_run

    session = open_run(tiny_run)
    spoken = system_items(session.run, session.prompts, session.systems)
    assert len(spoken) == 8  # four prompts, two seeds
    assert {item.names for item in spoken} == {("base", "aligned")}
    assert all(item.id == item.clips["base"].candidate_id == item.clips["aligned"].candidate_id for item in spoken)
    assert all(session.prompts[item.prompt_id].split == "test" for item in spoken)
    assert all(item.has_reference and item.voice.is_file() for item in spoken)

    loads = []
    sampled = candidate_items(session.run, session.prompts, lambda: loads.append(1) or session.codec)
    assert len(sampled) == 4
    assert all(session.prompts[item.prompt_id].split == "train" for item in sampled)
    assert loads == []
    item = sampled[0]
    assert all(name == clip.candidate_id and name.startswith(f"{item.prompt_id}#") for name, clip in item.clips.items())
    wave, rate = item.clips[item.names[0]].read()
    assert rate == session.codec.sample_rate
    assert wave.numel() > 0
    assert loads == [1]
    assert len(candidate_items(session.run, session.prompts, lambda: session.codec, most=2)) == 2

"""TensorBoard's event files, read back with its own reader."""

import json
import logging

import pytest

pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lpo_tts.trackers.base import Place
from lpo_tts.trackers.rows import rows_of
from lpo_tts.trackers.sending import track
from lpo_tts.trackers.tensorboard import TensorBoard

EVERYTHING = {"scalars": 0, "audio": 0, "tensors": 0}


def read(folder):
    found = EventAccumulator(str(folder), size_guidance=EVERYTHING)
    found.Reload()
    return found


def text(events, name):
    return events.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0].decode()


@pytest.fixture
def events(made, folder, caplog):
    caplog.set_level(logging.INFO, "lpo_tts")
    track(made, ["tensorboard"], folder, "mini", run_folder=folder.parent)
    assert f"tensorboard: tensorboard --logdir {folder.parent}" in caplog.text
    return {system: read(folder.parent / "tensorboard" / system) for system in made.systems}


def test_every_number_comes_back_at_the_step_of_its_training(made, folder, events):
    for row in rows_of(made, folder):
        found = events[row.system]
        for name, value in row.scalars.items():
            (event,) = found.Scalars(name)
            assert event.step == row.step
            assert event.value == pytest.approx(value, rel=1e-6), name  # kept as float32
        assert set(row.scalars) <= set(found.Tags()["scalars"])


def test_texts_and_settings_come_back(made, events):
    found = events["aligned"]
    assert text(found, "evaluation/verdict") == made.verdict
    assert text(found, "evaluation/judge-wer/verdict").startswith("better")
    config = text(found, "evaluation/config").removeprefix("```json\n").removesuffix("\n```")
    assert json.loads(config)["train"]["loss"]["beta"] == 0.1


def test_audio_comes_back_bit_for_bit(made, folder, events):
    for row in rows_of(made, folder):
        for clip in row.clips:
            told = text(events[row.system], f"examples/{clip.name}")
            assert f"**text:** {clip.text}" in told
            if clip.path is None:
                assert f"examples/{clip.name}" not in events[row.system].Tags()["audio"]
                continue
            (sound,) = events[row.system].Audio(f"examples/{clip.name}")
            assert (sound.sample_rate, sound.length_frames, sound.content_type) == (16000, 800, "audio/wav")
            assert sound.encoded_audio_string == clip.path.read_bytes()


def test_the_table_of_hyper_parameters_names_the_training(events):
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    content = events["aligned"].SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    assert metadata.PLUGIN_NAME == "hparams"
    values = data.session_start_info.hparams
    assert values["train.loss.name"].string_value == "dpo"
    assert values["train.loss.beta"].number_value == 0.1


def test_an_evaluation_again_replaces_the_one_before(made, folder, events):
    track(made, ["tensorboard"], folder, "mini", run_folder=folder.parent)
    (event,) = read(folder.parent / "tensorboard" / "aligned").Scalars("evaluation/judge-wer/corpus")
    assert event.value == pytest.approx(6 / 48)


def logged(place, step, rows, last):
    """A sitting that trains from `step` on and logs these rows."""
    from transformers import TrainerControl, TrainerState, TrainingArguments

    args = TrainingArguments(output_dir=str(place.folder), report_to="none", use_cpu=True)
    state = TrainerState(is_local_process_zero=True, is_world_process_zero=True)
    with TensorBoard().training(place, "aligned", step, last) as (callback,):
        callback.on_train_begin(args, state, TrainerControl())
        for number, value in rows:
            state.global_step = number
            callback.on_log(args, state, TrainerControl(), logs={"loss": value, "eval_loss": value})


def test_a_training_that_goes_on_does_not_double_its_rows(tmp_path):
    place = Place(tmp_path, "mini")
    logged(place, 0, [(1, 0.9), (2, 0.8), (3, 0.7)], 0)
    logged(place, 2, [(3, 0.6), (4, 0.5)], 3)  # its checkpoint was of step 2
    found = read(tmp_path / "tensorboard" / "aligned")
    for name in ("train/loss", "eval/loss"):
        assert [(event.step, round(event.value, 3)) for event in found.Scalars(name)] == [(1, 0.9), (2, 0.8), (3, 0.6), (4, 0.5)]


def test_a_training_from_the_beginning_replaces_the_old_one_and_leaves_the_evaluation(made, folder):
    place = Place(folder.parent, "mini")
    logged(place, 0, [(1, 0.9), (2, 0.8)], 0)
    track(made, ["tensorboard"], folder, "mini", run_folder=folder.parent)
    logged(place, 0, [(1, 0.4)], 2)
    found = read(folder.parent / "tensorboard" / "aligned")
    assert [event.step for event in found.Scalars("train/loss")] == [1]
    assert len(found.Scalars("evaluation/judge-wer/corpus")) == 1

"""Weights & Biases without a network: what its offline runs hold."""

import logging
from dataclasses import replace

import pytest

wandb = pytest.importorskip("wandb", reason="the package wandb is not installed")

from lpo_tts.errors import ComponentError  # noqa: E402
from lpo_tts.trackers.base import Place  # noqa: E402
from lpo_tts.trackers.rows import rows_of  # noqa: E402
from lpo_tts.trackers.sending import track, training  # noqa: E402
from lpo_tts.trackers.state import remembered  # noqa: E402
from tests.trackers.wandb_file import config, history, records, summary  # noqa: E402

pytestmark = pytest.mark.slow  # a run starts and ends a process of wandb's own: seconds each


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_PROJECT", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    wandb.teardown()  # it reads the environment once in the life of a process


def runs(folder, run_id):
    """Records of every sitting of a run, in order."""
    wandb.teardown()  # wandb's own process writes behind `finish`
    return [records(path) for path in sorted(folder.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb"))]


def test_figures_settings_and_audio_stand_in_one_run_per_system(made, folder, caplog):
    caplog.set_level(logging.INFO, "lpo_tts")
    run_folder = folder.parent
    track(made, ["wandb"], folder, "mini", run_folder=run_folder)
    assert "wandb: wandb sync" in caplog.text
    place = Place(run_folder, "mini")
    for row in rows_of(made, folder):
        run_id = remembered(place.state, "wandb", row.system)["id"]
        (found,) = runs(run_folder, run_id)
        named = next(one.run for one in found if one.WhichOneof("record_type") == "run")
        assert (named.display_name, named.run_group, named.project) == (f"mini/{row.system}", "mini", "lpo-tts")
        (logged,) = [one for one in history(found) if "evaluation/judge-wer/corpus" in one]
        assert logged["train/global_step"] == row.step
        assert {name: logged[name] for name in row.scalars} == pytest.approx(dict(row.scalars))
        kept = summary(found)
        assert kept["evaluation/verdict"] == made.verdict
        assert kept["evaluation/judge-wer/corpus"] == pytest.approx(row.scalars["evaluation/judge-wer/corpus"])
        settings = config(found)
        assert settings["system"] == row.system
        assert settings.get("train") == row.config.get("train")
        heard = [clip for clip in row.clips if clip.path is not None]
        captions = [text for name, told in logged.items() if name.endswith(".captions") for text in told]
        assert sorted(captions) == sorted(f"{one.text} | heard: nothing | {one.caption}" for one in heard)
        media = list(run_folder.glob(f"wandb/offline-run-*-{run_id}/files/media/audio/examples/*.wav"))
        assert {one.read_bytes() for one in media} == {one.path.read_bytes() for one in heard}


def test_the_same_evaluation_is_sent_once_and_a_new_one_joins_the_run(made, folder, caplog):
    caplog.set_level(logging.INFO, "lpo_tts")
    run_folder = folder.parent
    track(made, ["wandb"], folder, "mini", run_folder=run_folder)
    track(made, ["wandb"], folder, "mini", run_folder=run_folder)
    assert "wandb: up to date" in caplog.text
    run_id = remembered(Place(run_folder, "mini").state, "wandb", "aligned")["id"]
    assert len(runs(run_folder, run_id)) == 1
    track(replace(made, verdict="another one"), ["wandb"], folder, "mini", run_folder=run_folder)
    sittings = runs(run_folder, run_id)
    assert [summary(one)["evaluation/verdict"] for one in sittings] == [made.verdict, "another one"]


def logged(place, step, rows, last):
    """A sitting that trains from `step` on and logs these rows."""
    from transformers import TrainerControl, TrainerState, TrainingArguments

    args = TrainingArguments(output_dir=str(place.folder), report_to="none", use_cpu=True)
    state = TrainerState(is_local_process_zero=True, is_world_process_zero=True)
    with training(["wandb"], place, "aligned", step, last) as (callback,):
        callback.on_train_begin(args, state, TrainerControl())
        for number, value in rows:
            state.global_step = number
            callback.on_log(args, state, TrainerControl(), logs={"loss": value})


def steps(found):
    return [(row["train/global_step"], row["train/loss"]) for row in history(found) if "train/loss" in row]


def test_training_and_evaluation_meet_in_one_run_without_double_rows(made, folder):
    run_folder = folder.parent
    place = Place(run_folder, "mini")
    logged(place, 0, [(1, 0.9), (2, 0.8), (3, 0.7)], 0)
    run_id = remembered(place.state, "wandb", "aligned")["id"]
    logged(place, 2, [(3, 0.7), (4, 0.5)], 3)  # cut off after step 3; its checkpoint was of step 2
    track(made, ["wandb"], folder, "mini", run_folder=run_folder)
    sittings = runs(run_folder, run_id)
    assert [steps(one) for one in sittings] == [[(1, 0.9), (2, 0.8), (3, 0.7)], [(4, 0.5)], []]
    assert summary(sittings[2])["evaluation/judge-wer/verdict"].startswith("better")


def test_a_tracker_that_joins_later_gets_the_rows_from_there(tmp_path):
    place = Place(tmp_path, "mini")
    logged(place, 2, [(3, 0.7), (4, 0.5)], 3)  # the sitting that logged step 3 had no tracker
    run_id = remembered(place.state, "wandb", "aligned")["id"]
    assert [steps(one) for one in runs(tmp_path, run_id)] == [[(3, 0.7), (4, 0.5)]]


def test_a_training_from_the_beginning_is_a_new_run(tmp_path):
    place = Place(tmp_path, "mini")
    logged(place, 0, [(1, 0.9)], 0)
    first = remembered(place.state, "wandb", "aligned")["id"]
    logged(place, 0, [(1, 0.4)], 1)
    second = remembered(place.state, "wandb", "aligned")["id"]
    assert first != second
    assert [steps(one) for one in runs(tmp_path, second)] == [[(1, 0.4)]]


def test_no_login_costs_a_finished_evaluation_one_line(made, folder, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_MODE", "online")
    track(made, ["wandb"], folder, "mini")
    (line,) = [one.getMessage() for one in caplog.records]
    assert line.startswith("wandb: the report is whole, but was not sent: wandb: No API key configured.")
    assert line.endswith("log in with `wandb login`, or set WANDB_MODE=offline and sync later")


def test_no_login_stops_a_training_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(ComponentError, match="No API key configured"), training(["wandb"], Place(tmp_path, "x"), "y", 0, 0):
        pytest.fail("nothing is trained")


def test_disabled_is_not_taken_for_sent(made, folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    track(made, ["wandb"], folder, "mini")
    assert not Place(folder, "mini").state.exists()

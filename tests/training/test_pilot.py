"""Pilots: they are the first steps of the run itself, are scored on pairs they never see, and leave the model as it was."""

import dataclasses
import logging
import os

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from lpo_tts.errors import ContractError, TrainingError
from lpo_tts.losses.lpo import LPOR, LPOSTE
from lpo_tts.training.adapters import LoraSettings
from lpo_tts.training.examples import PairExample
from lpo_tts.training.pilot import MIN_HELD_OUT, plan, run_pilots
from lpo_tts.training.preparing import prepare_examples
from lpo_tts.training.reference import compute_reference
from lpo_tts.training.settings import TrainSettings
from lpo_tts.training.trainer import LPOTrainer

SETTINGS = TrainSettings(epochs=1, batch_size=4, learning_rate=1e-2, precision="fp32", average_from=0.3, threads=1)
LOSS = LPOSTE(beta=0.2, gamma=0.1, r2=0.4)


def tiny():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1
    )
    return LlamaForCausalLM(config)


def make_pairs(count, seed=0, prefix="p", prompts=None):
    """Pairs of `prompts` prompts in turn (as many as pairs by default)."""
    generator = torch.Generator().manual_seed(seed)

    def ids(size):
        return torch.randint(0, 40, (size,), generator=generator)

    asked = [ids(5) for _ in range(prompts or count)]
    return [PairExample(f"{prefix}{i}", asked[i % len(asked)], ids(8), ids(8)) for i in range(count)]


TRAIN, DEV = make_pairs(48), make_pairs(40, 1, "d")


def weights_of(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


class Recorder(TrainerCallback):
    """What the full run has after some steps."""

    def __init__(self, step):
        self.step, self.weights = step, {}

    def on_step_end(self, args, state, control, model, **kwargs):
        if state.global_step == self.step:
            self.weights = weights_of(model)


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.slow
def test_a_pilot_is_the_first_steps_of_the_full_run(tmp_path, monkeypatch, pack):
    settings = dataclasses.replace(SETTINGS, pack=pack)
    recorder, model = Recorder(5), tiny()
    args = settings.config(tmp_path, evaluate=False)
    LPOTrainer(model=model, args=args, train_dataset=TRAIN, loss=LOSS, callbacks=[recorder]).train()
    assert recorder.weights

    found = {}
    from lpo_tts.training import pilot

    train = pilot.Pilot.train

    def recorded(self):
        train(self)
        found.update(weights_of(self.model))

    monkeypatch.setattr(pilot.Pilot, "train", recorded)
    chosen, (one,) = run_pilots(tiny(), TRAIN, DEV, LOSS, settings, [0.4], 5)
    assert one.steps == 5
    assert chosen.total_steps == 12
    assert len(chosen.train) == 20  # the reference is not computed for pairs that no step sees
    for name, weight in recorder.weights.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_model_comes_back_as_it_was_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, steps = tiny(), []
    before = weights_of(model)
    _, trials = run_pilots(
        model, TRAIN, DEV, LOSS, SETTINGS, [0.0, 0.4, 0.8], 3, progress=lambda r2, step: steps.append((r2, step))
    )
    assert steps == [(r2, step) for r2 in (0.0, 0.4, 0.8) for step in (1, 2, 3)]
    assert [one.r2 for one in trials] == [0.0, 0.4, 0.8]
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())
    assert all(weight.grad is None for weight in model.parameters())
    assert os.listdir(tmp_path) == []
    first = trials[0]
    assert first.moved.shape == (40, 2)
    assert first.moved.abs().max() > 1e-3
    assert not torch.equal(first.moved, trials[1].moved)
    assert not torch.equal(first.moved, first.mirrored)


@pytest.mark.slow
def test_every_pilot_starts_anew_so_their_order_does_not_matter():
    one = run_pilots(tiny(), TRAIN, DEV, LOSS, SETTINGS, [0.8, 0.4], 3)[1]
    other = run_pilots(tiny(), TRAIN, DEV, LOSS, SETTINGS, [0.4], 3)[1]
    assert torch.equal(one[1].moved, other[0].moved)
    assert torch.equal(one[1].mirrored, other[0].mirrored)


def test_an_interruption_leaves_the_weights_as_they_were():
    model = tiny()
    before = weights_of(model)

    def interrupt(r2, step):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pilots(model, TRAIN, DEV, LOSS, SETTINGS, [0.4], 4, progress=interrupt)
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())


@pytest.mark.slow
def test_under_lora_only_the_adapters_move_and_they_are_taken_off_again():
    pytest.importorskip("peft")
    settings = dataclasses.replace(SETTINGS, lora=LoraSettings(rank=4))
    model = tiny()
    before, names = weights_of(model), [name for name, _ in model.named_modules()]
    _, trials = run_pilots(model, TRAIN, DEV, LOSS, settings, [0.0, 0.8], 4)
    after = weights_of(model)
    assert [name for name, _ in model.named_modules()] == names
    assert all(weight.requires_grad for weight in model.parameters())
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(one.moved.abs().max() > 1e-4 for one in trials)


@pytest.mark.slow
def test_kept_reference_log_probs_are_used_where_they_fit_and_computed_where_not(tmp_path, caplog):
    model, path = tiny(), tmp_path / "reference.safetensors"
    kept = compute_reference(model, [*prepare_examples(TRAIN), *prepare_examples(DEV)], path)
    calls = []
    run = dataclasses.replace(SETTINGS)
    with caplog.at_level(logging.INFO), pytest.MonkeyPatch.context() as patch:
        from lpo_tts.training import pilot

        patch.setattr(pilot, "compute_reference", lambda *a, **k: calls.append(1) or compute_reference(*a, **k))
        fits = run_pilots(model, TRAIN, DEV, LOSS, run, [0.4], 2, path)[1]
        assert calls == []
        dataclasses.replace(kept, model="another").save(path)
        computed = run_pilots(model, TRAIN, DEV, LOSS, run, [0.4], 2, path)[1]
        assert calls == [1]
    assert (
        "reference.safetensors is not of this model, precision and these pairs; the log-probs of 48 pairs are computed"
        in caplog.text
    )
    torch.testing.assert_close(fits[0].moved, computed[0].moved, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_training_that_breaks_off_is_a_result_but_disagreement_at_the_start_is_an_error(monkeypatch, tmp_path):
    from lpo_tts.training import pilot

    step = pilot.Pilot.training_step

    def breaks(self, *args, **kwargs):
        if self.state.global_step == 2:
            raise TrainingError("step 3: the loss is not finite for pairs p1")
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(pilot.Pilot, "training_step", breaks)
        _, (one,) = run_pilots(tiny(), TRAIN, DEV, LOSS, SETTINGS, [0.4], 4)
    assert one.steps == 2
    assert one.stopped == "step 3: the loss is not finite for pairs p1"

    model, path = tiny(), tmp_path / "reference.safetensors"
    kept = compute_reference(model, [*TRAIN, *DEV], path)
    dataclasses.replace(kept, total=kept.total - 5).save(path)
    with pytest.raises(TrainingError, match="policy and reference must agree before the first step"):
        run_pilots(model, TRAIN, DEV, LOSS, SETTINGS, [0.4], 4, path)


@pytest.mark.slow
def test_the_warm_up_takes_at_most_half_of_the_steps(monkeypatch):
    from lpo_tts.training import pilot

    rates = []
    log = pilot.Pilot.log

    def recorded(self, logs, *args, **kwargs):
        rates.append(logs.get("learning_rate"))
        log(self, logs, *args, **kwargs)

    monkeypatch.setattr(pilot.Pilot, "log", recorded)
    settings = dataclasses.replace(SETTINGS, epochs=50, schedule="constant")  # 600 steps, of which 60 warm up
    run_pilots(tiny(), TRAIN, DEV, LOSS, settings, [0.4], 4)
    assert max(rate for rate in rates if rate is not None) == pytest.approx(1e-2)


def test_other_forms_keep_what_the_recipe_says():
    _, trials = run_pilots(tiny(), TRAIN, DEV, LPOR(beta=0.2, gamma=0.2, r1=2, r2=0.1), SETTINGS, [0.5], 2)
    assert trials[0].pull == pytest.approx(0.8 * 0.5 / 1.8)


@pytest.mark.slow
def test_a_run_of_fewer_steps_is_measured_to_its_end():
    chosen, (one,) = run_pilots(tiny(), TRAIN[:10], DEV, LOSS, dataclasses.replace(SETTINGS, epochs=2), [0.4], 32)
    assert one.steps == chosen.total_steps == 6
    assert len(chosen.train) == 10


def test_enough_dev_pairs_are_the_held_out_ones():
    chosen = plan(TRAIN, DEV, SETTINGS, 3, pack=True)
    assert chosen.taken == 0
    assert [pair.id for pair in chosen.held_out] == [pair.id for pair in DEV]
    assert len(chosen.train) == 12
    assert chosen.ordered


def test_without_dev_pairs_some_are_taken_of_the_prompts_that_come_later():
    chosen = plan(make_pairs(120, prompts=60), DEV[:3], SETTINGS, 3, pack=True)
    full = plan(make_pairs(120, prompts=60), DEV, SETTINGS, 3, pack=True)
    assert [pair.id for pair in chosen.train] == [pair.id for pair in full.train]  # the run's own order
    assert chosen.taken == len(chosen.held_out) - 3 >= MIN_HELD_OUT - 3
    assert apart(chosen)


def test_where_the_steps_need_all_pairs_some_are_not_trained_on():
    chosen = plan(make_pairs(60, prompts=20), [], SETTINGS, 32, pack=True)
    assert len(chosen.train) + len(chosen.held_out) == 60
    assert 12 <= len(chosen.held_out) <= 16
    assert chosen.total_steps == 15  # of the full run
    assert not chosen.ordered
    assert apart(chosen)


def test_pairs_of_one_prompt_cannot_be_held_out():
    with pytest.raises(ContractError, match=r"all 9 training pairs are of one prompt, so none can be held out.*pair\.dev_share"):
        plan(make_pairs(9, prompts=1), [], SETTINGS, 32, pack=True)


def apart(chosen):
    trained = {pair.prompt_key for pair in chosen.train}
    return not any(pair.prompt_key in trained for pair in chosen.held_out)

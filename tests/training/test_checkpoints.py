"""A checkpoint is whole or passed over by name; a full disk costs one line; what is resumed is the run that was interrupted."""

import builtins
import dataclasses
import errno
import json
import logging
import os
import stat
import subprocess

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from lpo_tts.errors import ArtefactError, TrainingError
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.lpo import LPOSTE
from lpo_tts.losses.mixture import Mixture
from lpo_tts.losses.sft import SFT
from lpo_tts.training import checkpoints
from lpo_tts.training.adapters import LoraSettings
from lpo_tts.training.checkpoints import Checkpoint, last_checkpoint, make_readable, remove_old, write_list
from lpo_tts.training.examples import PairExample
from lpo_tts.training.identity import NEUTRAL, described_settings, plain
from lpo_tts.training.reference import compute_reference
from lpo_tts.training.run import TrainSettings, train
from lpo_tts.training.trainer import LPOConfig, LPOTrainer

VOCABULARY = 40
SETTINGS = TrainSettings(epochs=2, batch_size=4, learning_rate=1e-2, precision="fp32", average_from=0.3, save_steps=2, threads=1)


def tiny(seed=0, tied=True):
    torch.manual_seed(seed)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=tied))


def make_pairs(count, seed=0, prefix="p"):
    generator = torch.Generator().manual_seed(seed)

    def ids(low, high):
        return torch.randint(0, VOCABULARY, (int(torch.randint(low, high, (1,), generator=generator)),), generator=generator)

    return [PairExample(f"{prefix}{i}", ids(2, 6), ids(3, 9), ids(3, 9)) for i in range(count)]


PAIRS = make_pairs(12)  # six steps, three checkpoints of which two are kept


class Stop(TrainerCallback):
    """What interrupts a run after its fourth step."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 5:
            raise TrainingError("stopped")


def config(folder, **changes):
    settings = {
        "output_dir": str(folder),
        "use_cpu": True,
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "save_strategy": "steps",
        "save_steps": 2,
        "logging_steps": 1,
        "disable_tqdm": True,
    }
    return LPOConfig(**{**settings, **changes})


def trainer(folder, loss=None, model=None, data=PAIRS, callbacks=(), keep=(), **changes):
    return LPOTrainer(
        tiny() if model is None else model,
        args=config(folder, **changes),
        train_dataset=data,
        loss=loss or DPO(),
        callbacks=list(callbacks),
        **dict(keep),
    )


def interrupted(folder, loss=None, **arguments):
    with pytest.raises(TrainingError, match="stopped"):
        trainer(folder, loss, callbacks=[Stop()], **arguments).train()
    assert {"checkpoint-2", "checkpoint-4"} <= {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    train(tiny(), PAIRS, LPOSTE(), SETTINGS, folder)
    return folder


def rows_of(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "tokens_per_second"} for row in rows]


def assert_same_end(folder, whole):
    assert rows_of(folder) == rows_of(whole)
    assert (folder / "final/model.safetensors").read_bytes() == (whole / "final/model.safetensors").read_bytes()


# Torn checkpoints


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scramble(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def remove(path):
    path.unlink()


PARTS = ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "meter.json"]
PARTS += ["average.safetensors", "config.json"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (cut, r"torn \(expected \d+ bytes, found \d+\)"),
        (scramble, r"torn \(its contents are not what was written\)"),
        (remove, "missing, though the checkpoint's list names it"),
    ],
)
def test_a_damaged_part_is_named_and_the_checkpoint_before_taken(part, damage, fault, whole, tmp_path, caplog):
    folder = tmp_path / "run"
    subprocess.run(["cp", "-r", str(whole), str(folder)], check=True)
    damage(folder / "checkpoint-6" / part)
    with caplog.at_level(logging.WARNING):
        assert last_checkpoint(folder) == str(folder / "checkpoint-4")
    assert f"checkpoint-6 is passed over for an older checkpoint: {folder}/checkpoint-6/{part}: " in caplog.text
    with pytest.raises(ArtefactError, match=rf"checkpoint-6/{part}: {fault}; use another"):
        Checkpoint.open(folder / "checkpoint-6")


def test_a_run_goes_on_from_the_checkpoint_before_a_torn_one_to_the_same_end(whole, tmp_path, caplog):
    folder = tmp_path / "run"
    subprocess.run(["cp", "-r", str(whole), str(folder)], check=True)
    cut(folder / "checkpoint-6/optimizer.pt")
    with caplog.at_level(logging.WARNING):
        summary = train(tiny(), PAIRS, LPOSTE(), SETTINGS, folder)
    assert summary["resumed_from"] == str(folder / "checkpoint-4")
    assert "checkpoint-6/optimizer.pt: torn" in caplog.text
    assert_same_end(folder, whole)
    assert last_checkpoint(folder) == str(folder / "checkpoint-6")  # written anew, and whole


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"files": 3}', '{"files": {"a": 1}, "made_of": {}, "resumable": true}', "\udcff"]
)
def test_a_torn_list_is_named(content, tmp_path):
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "checkpoint.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ArtefactError, match=r"checkpoint-2/checkpoint\.json: (torn|not valid JSON)"):
        Checkpoint.open(tmp_path / "checkpoint-2")
    assert last_checkpoint(tmp_path) is None


def test_a_torn_checkpoint_that_is_asked_for_is_refused_by_name(whole, tmp_path):
    folder = tmp_path / "run"
    interrupted(folder)
    cut(folder / "checkpoint-4/optimizer.pt")
    with pytest.raises(ArtefactError, match=r"checkpoint-4/optimizer\.pt: torn \(expected \d+ bytes, found \d+\); use another"):
        trainer(folder).train(resume_from_checkpoint=str(folder / "checkpoint-4"))
    with pytest.raises(ArtefactError, match="checkpoint-9: no such checkpoint; check the path"):
        trainer(folder).train(resume_from_checkpoint=folder / "checkpoint-9")
    (folder / "checkpoint-2" / "checkpoint.json").unlink()
    with pytest.raises(ArtefactError, match=r"checkpoint-2 was interrupted while it was written, or is of another program"):
        trainer(folder).train(resume_from_checkpoint=folder / "checkpoint-2")
    with pytest.raises(ArtefactError, match="no whole checkpoint to resume from; train without resuming"):
        trainer(folder).train(resume_from_checkpoint=True)


def test_a_checkpoint_of_the_model_alone_cannot_be_resumed(tmp_path):
    interrupted(tmp_path, save_only_model=True)
    with pytest.raises(ArtefactError, match=r"checkpoint-4: holds the model alone \(save_only_model\)"):
        trainer(tmp_path).train(resume_from_checkpoint=tmp_path / "checkpoint-4")


def test_a_torn_best_checkpoint_is_named_at_the_end(tmp_path):
    class Tear(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 6:
                cut(tmp_path / "checkpoint-2/model.safetensors")

    changes = {"eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True, "save_only_model": True}
    changes |= {"metric_for_best_model": "eval_loss", "greater_is_better": True}  # the first one
    with pytest.raises(ArtefactError, match=r"checkpoint-2/model\.safetensors: torn"):
        trainer(tmp_path, callbacks=[Tear()], keep={"eval_dataset": make_pairs(4, 1, "d")}, **changes).train()


def test_old_checkpoints_go_only_when_the_new_one_is_whole(tmp_path, monkeypatch):
    """With one checkpoint to keep, an interruption between the two would leave none."""
    seen = []
    write = checkpoints.write_json

    def watched(path, value):
        seen.append(sorted(one.name for one in tmp_path.glob("checkpoint-*")))
        write(path, value)

    monkeypatch.setattr(checkpoints, "write_json", watched)
    trainer(tmp_path, save_total_limit=1).train()
    assert seen == [["checkpoint-2"], ["checkpoint-2", "checkpoint-4"], ["checkpoint-4", "checkpoint-6"]]
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-6"]
    kept = torch.load(tmp_path / "checkpoint-6/training_args.bin", weights_only=False)
    assert kept.save_total_limit == 1


def test_a_torn_checkpoint_of_later_steps_goes_before_whole_ones(tmp_path):
    for number in (2, 4, 6, 8):
        (tmp_path / f"checkpoint-{number}").mkdir()
    (tmp_path / "checkpoint-new").mkdir()  # not ours
    for limit, best, left in ((None, None, {2, 4, 6, 8}), (3, None, {2, 4, 6}), (2, 2, {2, 6}), (1, 2, {2, 6}), (1, None, {6})):
        best = None if best is None else str(tmp_path / f"checkpoint-{best}")
        remove_old(tmp_path / "checkpoint-6", limit, best)
        assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-new"} | {f"checkpoint-{one}" for one in left}


def test_folders_within_a_checkpoint_are_listed(tmp_path):
    """As FSDP and DeepSpeed write them."""
    folder = tmp_path / "checkpoint-2"
    (folder / "optimizer_0").mkdir(parents=True)
    (folder / "optimizer_0/__0_0.distcp").write_bytes(b"12345")
    (folder / "left.partial").write_bytes(b"1")
    write_list(folder, {"loss": {"name": "dpo"}})
    assert Checkpoint.open(folder).made_of == {"loss": {"name": "dpo"}}
    assert list(json.loads((folder / "checkpoint.json").read_text())["files"]) == ["optimizer_0/__0_0.distcp"]
    (folder / "optimizer_0/__0_0.distcp").write_bytes(b"1234")
    with pytest.raises(ArtefactError, match=r"optimizer_0/__0_0\.distcp: torn \(expected 5 bytes, found 4\)"):
        Checkpoint.open(folder)


# A full disk


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_of_torch(*_args, **_kwargs):
    raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "fail"),
    [
        ("transformers.modeling_utils.safe_save_file", full),
        ("lpo_tts.tensors.save_file", full),  # the weights' average
        ("torch.save", full_of_torch),  # the optimizer
        ("transformers.trainer_callback.TrainerState.save_to_json", full),
        ("lpo_tts.training.checkpoints.sync", full),
    ],
)
def test_a_full_disk_at_a_checkpoint_is_one_line_and_the_run_goes_on_afterwards(place, fail, whole, tmp_path, monkeypatch):
    class Fill(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 4:
                monkeypatch.setattr(place, fail)

    init = LPOTrainer.__init__

    def with_fill(self, *args, **kwargs):
        kwargs["callbacks"] = [*(kwargs.get("callbacks") or []), Fill()]
        init(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(LPOTrainer, "__init__", with_fill)
        with pytest.raises(ArtefactError, match=r"cannot write \S*/checkpoint-4\S*: [^\n]*$") as error:
            train(tiny(), PAIRS, LPOSTE(), SETTINGS, tmp_path)
    assert "\n" not in str(error.value)
    if fail is full:
        assert "No space left on device" in str(error.value)
        assert "free space" in str(error.value)
    monkeypatch.undo()
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")
    assert train(tiny(), PAIRS, LPOSTE(), SETTINGS, tmp_path)["resumed_from"] == str(tmp_path / "checkpoint-2")
    assert_same_end(tmp_path, whole)


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk takes root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_run_on_a_disk_that_is_full_for_real(share, whole, small_disk):
    """Room for one checkpoint and part of the next; then the rest is freed."""
    size = sum(-(-file.stat().st_size // 4096) * 4096 for file in (whole / "checkpoint-6").iterdir())
    room = int((1 + share) * size) + 5 * 4096  # reference, metrics, run.json
    with (small_disk / "filler").open("wb") as file:
        file.write(bytes(os.statvfs(small_disk).f_bavail * 4096 - room))
    with pytest.raises(ArtefactError, match=r"^cannot write .*No space left on device.*; free space[^\n]*$"):
        train(tiny(), PAIRS, LPOSTE(), SETTINGS, small_disk / "run")
    assert last_checkpoint(small_disk / "run") == str(small_disk / "run/checkpoint-2")
    (small_disk / "filler").unlink()
    train(tiny(), PAIRS, LPOSTE(), SETTINGS, small_disk / "run")
    assert_same_end(small_disk / "run", whole)


def test_a_full_disk_at_the_metrics_and_at_the_final_model_is_one_line(tmp_path, monkeypatch):
    one = trainer(tmp_path, save_strategy="no")
    opened = builtins.open

    def no_room(file, mode="r", *args, **kwargs):
        if str(file).endswith("metrics.jsonl") and "a" in mode:
            full()
        return opened(file, mode, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("io.open", no_room)
        with pytest.raises(ArtefactError, match=r"cannot write \S*metrics\.jsonl: No space left on device; free space"):
            one.train()
    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", full)
    with pytest.raises(ArtefactError, match=r"cannot write \S*/final: No space left on device; free space"):
        one.save_model(str(tmp_path / "final"))


def test_other_errors_are_not_taken_for_those_of_a_disk(tmp_path):
    with pytest.raises(RuntimeError, match="shape"), checkpoints.saving(tmp_path):
        raise RuntimeError("mat1 and mat2: shape mismatch")


# Permissions


def test_what_is_saved_is_as_readable_as_any_new_file(whole):
    (plain_file := whole / "new").write_text("")
    expected = stat.S_IMODE(plain_file.stat().st_mode)
    plain_file.unlink()
    files = [path for path in whole.glob("**/*.safetensors") if path.name != "reference.safetensors"]
    assert {path.name for path in files} == {"model.safetensors", "average.safetensors"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {expected}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_decides_who_may_read(umask, mode, tmp_path):
    (tmp_path / "a.safetensors").write_text("")
    (tmp_path / "a.safetensors").chmod(0o600)
    before = os.umask(umask)
    try:
        make_readable(tmp_path)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == mode


# What a checkpoint was made from

OTHER = make_pairs(12, 5)
LORA = {"peft_config": LoraSettings(rank=2).config()}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"loss": DPO(beta=0.2)}, r"loss\.beta: 0\.1 -> 0\.2"),
        ({"loss": LPOSTE()}, r"loss\.name: 'dpo' -> 'lpo-ste'"),
        ({"loss": Mixture((DPO(), SFT()))}, r"loss\.name: 'dpo' -> 'mixture'"),
        ({"learning_rate": 2e-2}, r"settings\.learning_rate: 0\.01 -> 0\.02"),
        ({"lr_scheduler_type": "cosine"}, r"settings\.lr_scheduler_type: 'linear' -> 'cosine'"),
        ({"max_steps": 8}, r"settings\.max_steps: 6 -> 8"),
        ({"per_device_train_batch_size": 2}, r"settings\.per_device_train_batch_size: 4 -> 2"),
        ({"gradient_accumulation_steps": 2}, r"settings\.gradient_accumulation_steps: 1 -> 2"),
        ({"bf16": True}, r"settings\.bf16: False -> True"),
        ({"seed": 1}, r"settings\.seed: 42 -> 1"),
        ({"optim": "sgd"}, r"settings\.optim: 'adamw_torch\w*' -> 'sgd'"),
        ({"pack": False}, r"settings\.pack: True -> False"),
        ({"average_from": 0.5}, r"settings\.average_from: None -> 0\.5"),
        ({"sync_ref_model": True}, r"settings\.sync_ref_model: False -> True"),
        ({"data": OTHER}, r"train_data\.contents: '\w+' -> '\w+'"),
        ({"data": PAIRS[:11]}, r"train_data\.examples: 12 -> 11"),
        ({"data": PAIRS[::-1]}, r"train_data\.order: '\w+' -> '\w+'"),
        ({"model": tiny(1)}, r"model: '\w+' -> '\w+'; reference\.model: '\w+' -> '\w+'"),
        ({"keep": {"ref_model": tiny(1)}}, r"reference\.model: '\w+' -> '\w+'"),
        ({"keep": {"reference_logps": compute_reference(tiny(1), PAIRS)}}, r"reference\.model: '\w+' -> '\w+'"),
        ({"keep": {"eval_dataset": make_pairs(3, 1, "d")}}, r"dev_data\.eval: None -> "),
        ({"keep": LORA}, r"adapters: None -> "),
    ],
)
def test_another_run_is_refused_by_name_on_resume(arguments, named, tmp_path_factory, base):
    kept = {path.name: path.stat().st_mtime_ns for path in base.iterdir()}
    with pytest.raises(ArtefactError, match=rf"{base} holds checkpoints of another run \(.*{named}.*\); put these back, remove"):
        trainer(base, **arguments).train(resume_from_checkpoint=True)
    assert {path.name: path.stat().st_mtime_ns for path in base.iterdir()} == kept  # nothing was touched


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "run"
    interrupted(folder)
    return folder


def test_an_explicit_checkpoint_of_another_run_is_refused_too(base, tmp_path):
    with pytest.raises(ArtefactError, match=r"another run \(loss\.beta: 0\.1 -> 0\.3\)"):
        trainer(tmp_path, DPO(beta=0.3)).train(resume_from_checkpoint=base / "checkpoint-4")


def test_what_changes_no_weight_may_be_changed_on_resume(base, tmp_path):
    folder = tmp_path / "moved"
    subprocess.run(["cp", "-r", str(base), str(folder)], check=True)
    changes = {"logging_steps": 3, "save_steps": 3, "save_total_limit": 1, "activation_checkpointing": True}
    one = trainer(folder, dataloader_num_workers=0, run_name="again", **changes)
    one.train(resume_from_checkpoint=True)
    trainer(tmp_path / "whole").train()
    kept = torch.load(tmp_path / "whole/checkpoint-6/optimizer.pt"), torch.load(folder / "checkpoint-6/optimizer.pt")
    assert all(torch.equal(kept[0]["state"][key]["exp_avg"], kept[1]["state"][key]["exp_avg"]) for key in kept[0]["state"])


def test_adapters_and_their_frozen_model_belong_to_the_run(tmp_path):
    interrupted(tmp_path, keep=LORA)
    other = {"peft_config": dataclasses.replace(LoraSettings(rank=2), alpha=8.0).config()}
    with pytest.raises(ArtefactError, match=r"adapters\.default\.lora_alpha: 32\.0 -> 8\.0"):
        trainer(tmp_path, keep=other).train(resume_from_checkpoint=True)
    with pytest.raises(ArtefactError, match=r"\(model: '\w+' -> '\w+'"):  # a checkpoint of adapters does not hold it
        trainer(tmp_path, model=tiny(1), keep=LORA).train(resume_from_checkpoint=True)
    trainer(tmp_path, keep=LORA).train(resume_from_checkpoint=True)


def test_an_optimizer_of_ones_own_belongs_to_the_run(tmp_path):
    def own(rate):
        model = tiny()
        return {"model": model, "keep": {"optimizers": (torch.optim.SGD(model.parameters(), lr=rate), None)}}

    interrupted(tmp_path, **own(0.1))
    with pytest.raises(ArtefactError, match=r"optimizers: "):
        trainer(tmp_path, **own(0.2)).train(resume_from_checkpoint=True)
    with pytest.raises(ArtefactError, match=r"optimizers: "):
        trainer(tmp_path).train(resume_from_checkpoint=True)
    trainer(tmp_path, **own(0.1)).train(resume_from_checkpoint=True)


def test_when_to_evaluate_counts_where_the_best_checkpoint_is_final(tmp_path):
    dev = {"eval_dataset": make_pairs(3, 1, "d")}
    best = {"eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True, "metric_for_best_model": "eval_loss"}
    interrupted(tmp_path, keep=dev, **best)
    with pytest.raises(ArtefactError, match=r"settings\.save_steps: 2 -> 4"):
        trainer(tmp_path, keep=dev, **{**best, "save_steps": 4}).train(resume_from_checkpoint=True)


def test_another_number_of_processes_is_warned_of(base, caplog):
    kept = Checkpoint.open(base / "checkpoint-4")
    other = json.loads(json.dumps(kept.made_of))
    other["processes"] = 2
    other["settings"]["per_device_train_batch_size"] = 2
    with caplog.at_level(logging.WARNING):
        kept.refuse_other_run(other)
    assert "was written by 1 processes and is resumed by 2: results agree up to rounding" in caplog.text
    other["batch_size"] = 8
    with pytest.raises(ArtefactError, match="batch_size: 4 -> 8"):
        kept.refuse_other_run(other)


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_in_the_same_program(tmp_path):
    one = trainer(tmp_path / "run", callbacks=[Stop()])
    with pytest.raises(TrainingError, match="stopped"):
        one.train()
    one.pop_callback(Stop)
    one.train(resume_from_checkpoint=True)  # the model has moved on, what the run is made from has not
    two = trainer(tmp_path / "whole")
    two.train()
    assert rows_of(tmp_path / "run") == rows_of(tmp_path / "whole")
    for mine, theirs in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_run_json_says_what_a_run_is_made_from(base, whole):
    made_of = json.loads((base / "run.json").read_text())
    assert made_of["loss"] == {"name": "dpo", "beta": 0.1, "label_smoothing": 0.0}
    assert made_of["settings"]["learning_rate"] == 0.01
    assert made_of == json.loads((base / "checkpoint-4/checkpoint.json").read_text())["made_of"]
    assert json.loads((whole / "run.json").read_text())["settings"]["schedule"] == "cosine"  # under the recipe's names


def test_no_credential_stands_in_a_checkpoint(tmp_path):
    assert {"hub_token", "output_dir"} <= NEUTRAL
    described = described_settings(config(tmp_path, hub_token="secret"))
    assert "secret" not in json.dumps(described)
    unknown = NEUTRAL - {field.name for field in dataclasses.fields(LPOConfig)}
    assert not unknown, "these settings do not exist"


def test_plain_values_fit_into_json():
    value = {"a": float("inf"), "b": {3, 1}, "c": (1, None), "d": object(), "e": logging.getLogger}
    assert plain(value) == {"a": "inf", "b": [1, 3], "c": [1, None], "d": "<object>", "e": "<function>"}


# Tied weights


@pytest.mark.parametrize("tied", [True, False])
def test_only_a_key_that_is_really_missing_is_warned_of(tied, tmp_path, caplog):
    model = tiny(tied=tied)
    one = trainer(tmp_path, model=model)
    with caplog.at_level(logging.WARNING, logger="transformers"):
        logging.getLogger("transformers").propagate = True
        without = {name: weight for name, weight in model.state_dict().items() if name != "lm_head.weight"}
        one._issue_warnings_after_load(model.load_state_dict(without, strict=False))
    logging.getLogger("transformers").propagate = False
    assert ("missing keys" in caplog.text) == (not tied)

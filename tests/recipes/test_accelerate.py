"""The ready configurations for several GPUs: accelerate takes them as they are, and they ask for what the README says."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from lpo_tts.errors import ConfigError
from lpo_tts.training.config import LPOConfig

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "recipes" / "accelerate"
CONFIGS = sorted(path.name for path in FOLDER.glob("*.yaml"))


def launched(name: str, *options: str) -> argparse.Namespace:
    """What `accelerate launch` makes of a file; the number of GPUs on this machine does not matter."""
    command = ["--config_file", str(FOLDER / name), *options, "-m", "lpo_tts.cli", "train", "RECIPE"]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(command))
    return arguments


def environment_of(name: str, *options: str) -> dict[str, str]:
    return prepare_multi_gpu_env(launched(name, *options))


def test_every_configuration_is_described():
    readme = (FOLDER / "README.md").read_text()
    assert CONFIGS == ["ddp.yaml", "deepspeed-zero2.yaml", "deepspeed-zero3.yaml", "fsdp2.yaml"]
    assert all(f"`{name}`" in readme for name in CONFIGS)


@pytest.mark.parametrize("name", ["ddp.yaml", "fsdp2.yaml"])
def test_accelerate_takes_the_configuration(name):
    arguments = launched(name)
    assert arguments.module
    assert (arguments.training_script, arguments.training_script_args) == ("lpo_tts.cli", ["train", "RECIPE"])
    assert arguments.num_processes == 2
    environment = environment_of(name)
    assert environment["ACCELERATE_MIXED_PRECISION"] == "bf16"
    assert (environment.get("ACCELERATE_USE_FSDP") == "true") == (name == "fsdp2.yaml")
    if name == "fsdp2.yaml":
        assert environment["FSDP_VERSION"] == "2"
        assert environment["FSDP_STATE_DICT_TYPE"] == "FULL_STATE_DICT"  # else final/ would not be saved
        assert environment["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false"


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_configurations(stage, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = launched(f"deepspeed-zero{stage}.yaml")
    settings = json.loads(Path(arguments.deepspeed_config_file).read_text())
    assert settings["zero_optimization"]["stage"] == stage
    # left to the recipe: these come from the trainer
    for key in ("gradient_accumulation_steps", "gradient_clipping", "train_batch_size", "train_micro_batch_size_per_gpu"):
        assert settings[key] == "auto"
    assert settings["bf16"]["enabled"] == "auto"
    assert settings["zero_optimization"].get("stage3_gather_16bit_weights_on_model_save", stage == 2)
    assert arguments.use_deepspeed
    arguments.deepspeed_fields_from_accelerate_config = ["deepspeed_config_file", "zero3_init_flag"]  # as `launch` does
    _, environment = prepare_deepspeed_cmd_env(arguments)
    assert environment["ACCELERATE_USE_DEEPSPEED"] == "true"
    assert environment["ACCELERATE_DEEPSPEED_ZERO3_INIT"] == "false"


def test_configurations_differ_only_in_what_is_divided():
    trees = {name: yaml.safe_load((FOLDER / name).read_text()) for name in CONFIGS}
    for name, tree in trees.items():
        for key in ("num_processes", "num_machines", "compute_environment", "use_cpu"):
            assert tree[key] == trees["ddp.yaml"][key], (name, key)


def test_a_precision_other_than_the_launchers_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with pytest.raises(ConfigError, match="launched with mixed_precision bf16, but this training is in fp32; give both the same"):
        LPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    assert LPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=True).precision == "bf16"


def test_weights_divided_by_the_launcher_rule_out_averaging(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    args = LPOConfig(output_dir=str(tmp_path), use_cpu=True)
    assert args.sharded
    assert args.token_budget is None
    with pytest.raises(ConfigError, match="average_from needs whole weights"):
        LPOConfig(output_dir=str(tmp_path), use_cpu=True, average_from=0.5)


@pytest.mark.slow
def test_two_processes_with_the_environment_of_fsdp2_train(tmp_path):
    program = ROOT / "tests" / "training" / "parallel_run.py"
    environment = {**environment_of("fsdp2.yaml", "--mixed_precision", "no"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(program)]
    done = subprocess.run(
        [*command, str(tmp_path / "two"), "launched"],
        env={**environment, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    plain = {**os.environ, "PYTHONPATH": str(ROOT)}
    one = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", "--standalone", str(program)]
    subprocess.run([*one, str(tmp_path / "one"), "launched"], env=plain, check=True, capture_output=True, timeout=300)
    facts = json.loads((tmp_path / "two" / "launched" / "rank-1.json").read_text())
    assert facts["wrapped"] == "FSDPLlamaForCausalLM"
    weights, other = (torch.load(tmp_path / side / "launched" / "weights.pt")["final"] for side in ("one", "two"))
    assert weights.keys() == other.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(other[name], weight, rtol=1e-4, atol=1e-5)

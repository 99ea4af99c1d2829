"""A small training in a process that is killed (SIGKILL) and started again: `python killed_run.py FOLDER CASE KILL ...`.

Every KILL is one life of the run in `FOLDER/torn`: `step:<k>`, killed from outside once metrics.jsonl has reached step k, or
`saving:<part>:<k>`, killed in the middle of writing that part of the checkpoint of step k. A last life ends by itself, unless
the last KILL is `left`. `FOLDER/whole` is the run without any of that. What every life came to is written to
`FOLDER/lives.json`.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerState

from lpo_tts.losses import REGISTRY
from lpo_tts.training import checkpoints
from lpo_tts.training.examples import PairExample
from lpo_tts.training.run import TrainSettings, train
from lpo_tts.training.trainer import LPOTrainer

VOCABULARY = 40
COMMON = {
    "epochs": 3,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "precision": "fp32",
    "save_steps": 3,
    "eval_steps": 4,
    "logging_steps": 2,  # so that checkpoints fall between two rows
    "threads": 1,
}
SMALL = {"model_width": 16, "layers": 1, "heads": 2, "feedforward": 32, "max_positions": 32}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # loss, its hyper-parameters, settings
    "packed and averaged": ("lpo-ste", {}, {"average_from": 0.3}),
    "accumulated": ("dpo", {}, {"micro_batch_size": 2, "token_budget": 30}),
    "with a state": ("bco", {"beta": 0.5}, {"micro_batch_size": 2}),
    "with an adversary": ("ganpo", SMALL, {}),
}


def tiny() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            tie_word_embeddings=True,
        )
    )


def make_pairs(count: int, prefix: str, seed: int) -> list[PairExample]:
    generator = torch.Generator().manual_seed(seed)

    def ids(low: int, high: int) -> torch.Tensor:
        size = int(torch.randint(low, high, (1,), generator=generator))
        return torch.randint(1, VOCABULARY, (size,), generator=generator)

    prompts = [ids(2, 9) for _ in range((count + 1) // 2)]
    return [PairExample(f"{prefix}{i}", prompts[i // 2], ids(2, 12), ids(2, 12)) for i in range(count)]


def run(case: str, out: Path, **changes: Any) -> dict[str, Any]:
    """The training of a case, begun or gone on with."""
    loss, hyper, settings = CASES[case]
    settings = TrainSettings(**{**COMMON, **settings, **changes})
    return train(tiny(), make_pairs(15, "p", 1), REGISTRY.get(loss)(**hyper), settings, out, make_pairs(5, "d", 2))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_saving(part: str, step: int) -> None:
    """Half of `part` of the checkpoint of `step` is written when this process is killed."""
    save_model, save_optimizer = LPOTrainer.save_model, LPOTrainer._save_optimizer_and_scheduler
    save_state = TrainerState.save_to_json

    def halve(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        die()

    def model(self: Any, output_dir: Any = None, _internal_call: bool = False) -> None:
        save_model(self, output_dir, _internal_call)
        if part == "model" and self.state.global_step == step:
            halve(Path(output_dir) / "model.safetensors")

    def optimizer(self: Any, output_dir: str) -> None:
        save_optimizer(self, output_dir)
        if part == "optimizer" and self.state.global_step == step:
            halve(Path(output_dir) / "optimizer.pt")

    def state(self: Any, json_path: str) -> None:
        save_state(self, json_path)
        if part == "state" and self.global_step == step:
            halve(Path(json_path))

    write_list = checkpoints.write_json

    def listed(path: Path, value: Any) -> None:
        if part == "list" and path.parent.name == f"checkpoint-{step}":
            die()
        write_list(path, value)

    checkpoints.write_json = listed
    LPOTrainer.save_model, LPOTrainer._save_optimizer_and_scheduler = model, optimizer
    TrainerState.save_to_json = state


def reached(out: Path) -> int:
    """The last step in metrics.jsonl, whole lines alone."""
    path = out / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def live(case: str, out: Path, kill: str, result: Path) -> int:
    """One life in a process of its own; returns how it ended (minus the signal, as subprocess has it)."""
    kind, *where = kill.split(":")
    child = os.fork()  # of a process that has imported all and computed nothing
    if child == 0:
        try:
            torch.set_num_threads(1)
            if kind == "saving":
                die_while_saving(where[0], int(where[1]))
            result.write_text(json.dumps(run(case, out)))
            os._exit(0)
        finally:  # whatever went wrong, this process must not go on as its parent
            traceback.print_exc()
            os._exit(1)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if kind == "step" and reached(out) >= int(where[0]):
            os.kill(child, signal.SIGKILL)
            kind = "killed"
        time.sleep(0.001)


def main() -> None:
    folder, case, kills = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    lives = [{"kill": "never", "exit": live(case, folder / "whole", "never", folder / "whole.json")}]
    for kill in kills[:-1] if kills[-1] == "left" else [*kills, "never"]:
        code = live(case, folder / "torn", kill, folder / "torn.json")
        lives.append({"kill": kill, "exit": code, "reached": reached(folder / "torn")})
    (folder / "lives.json").write_text(json.dumps(lives))


if __name__ == "__main__":
    main()

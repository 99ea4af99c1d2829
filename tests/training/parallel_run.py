"""Small trainings, the same on one process and on several: `torchrun parallel_run.py FOLDER [CASE ...]`, or `run_case` itself.

A batch of 8 pairs per optimizer step is spread over the processes. Each case leaves `FOLDER/<case>/`: metrics.jsonl,
weights.pt, evaluation.json, and what each process did in rank-<n>.json.
"""

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate import DistributedType, PartialState
from transformers import LlamaConfig, LlamaForCausalLM

from lpo_tts.losses import REGISTRY
from lpo_tts.training.examples import PairExample
from lpo_tts.training.processes import gathered, summed_by_name, world_size
from lpo_tts.training.trainer import LPOConfig, LPOTrainer

VOCABULARY, BATCH = 40, 8


@dataclass
class Case:
    """A loss and what differs from the common settings; `accumulation` divides a process's share of the batch."""

    loss: str
    hyper: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    accumulation: int = 1
    lora: bool = False
    again: bool = False  # takes up its own checkpoint of step 2 once more


SGD = {"optim": "sgd", "learning_rate": 0.05}  # Adam blows rounding errors up where a gradient is about 0
SMALL = {"model_width": 16, "layers": 1, "heads": 2, "feedforward": 32, "max_positions": 32, "dropout": 0.0}
CASES = {
    "dpo": Case("dpo"),
    "lpo-ste": Case("lpo-ste"),
    "padded": Case("lpo-ste", settings={"pack": False, "head": "answers", "length_window": 1}),
    "accumulated": Case("dpo", accumulation=2),
    "token budget": Case("dpo", settings={"token_budget": 40}),
    "kto": Case("kto", settings=SGD),
    "kto-pair": Case("kto-pair", {"detach_kl": False}, SGD),
    "aot": Case("aot", settings=SGD),
    "aot-unpaired": Case("aot-unpaired", settings=SGD),
    "beta-dpo": Case("beta-dpo", settings=SGD),
    "bco": Case("bco", settings={**SGD, "save_strategy": "steps", "save_steps": 2}, again=True),
    "epsilon-dpo": Case("epsilon-dpo", {"beta": 0.5}, SGD),
    "ganpo": Case("ganpo", SMALL, SGD),
    "lora": Case("epsilon-dpo", {"beta": 0.5}, {"learning_rate": 0.02}, lora=True),
}
FSDP = {"fsdp": True, "fsdp_config": {"version": 2, "transformer_layer_cls_to_wrap": ["LlamaDecoderLayer"]}}
LAUNCHED = {"launched": Case("lpo-ste")}  # whatever the environment says
SHARDED = {
    "fsdp": Case("dpo", settings=FSDP),
    "fsdp accumulated": Case("lpo-ste", settings=FSDP, accumulation=2),
    # statistics over the vocabulary leave the head beside the model's output
    "fsdp wpo": Case("wpo", settings={**FSDP, **SGD, "learning_rate": 0.5}),
    "fsdp bf16": Case("lpo-ste", settings={**FSDP, "bf16": True}),
    "fsdp padded": Case("dpo", settings={**FSDP, "pack": False, "head": "full", "length_window": 1}),
    "fsdp resumed": Case("bco", settings={**FSDP, "save_strategy": "steps", "save_steps": 2}, again=True),
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
            initializer_range=0.2,
            tie_word_embeddings=True,
        )
    )


def make_pairs(count: int, prefix: str, seed: int) -> list[PairExample]:
    """Two pairs to a prompt, of very different lengths, so that processes cut their batches differently."""
    generator = torch.Generator().manual_seed(seed)

    def ids(low: int, high: int) -> torch.Tensor:
        size = int(torch.randint(low, high, (1,), generator=generator))
        return torch.randint(1, VOCABULARY, (size,), generator=generator)

    prompts = [ids(2, 9) for _ in range((count + 1) // 2)]
    return [PairExample(f"{prefix}{i}", prompts[i // 2], ids(2, 20), ids(2, 20)) for i in range(count)]


def run_case(name: str, folder: Path) -> None:
    """Trains, evaluates, and writes what came out."""
    case, out = {**CASES, **SHARDED, **LAUNCHED}[name], folder / name
    share = BATCH // world_size() // case.accumulation
    settings = {
        "output_dir": str(out),
        "use_cpu": True,
        "per_device_train_batch_size": share,
        "per_device_eval_batch_size": 2,
        "gradient_accumulation_steps": case.accumulation,
        "num_train_epochs": 2,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "no",
        "disable_tqdm": True,
        **case.settings,
    }
    if world_size() == 1:  # the same training, undivided
        settings = {key: value for key, value in settings.items() if key not in ("fsdp", "fsdp_config")}
    peft_config = None
    if case.lora:
        from peft import LoraConfig

        peft_config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")

    def trainer_of(model: Any) -> LPOTrainer:
        args = LPOConfig(**settings)
        if args.sharded:
            # accelerate shards for accelerators alone and would fall back to DDP, while torch shards on a CPU as well
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        return LPOTrainer(
            model,
            args=args,
            train_dataset=make_pairs(16, "p", 1),
            eval_dataset=make_pairs(5, "d", 2),
            loss=REGISTRY.get(case.loss)(**case.hyper),
            peft_config=peft_config,
        )

    trainer = trainer_of(tiny())
    packs = []
    step = trainer.training_step

    def counted(model: Any, inputs: Any, *rest: Any) -> Any:
        packs.append(len(inputs["packs"]))
        return step(model, inputs, *rest)

    trainer.training_step = counted
    trainer.train()
    whole = weights_of(trainer)
    after = trainer.score_pairs(trainer.eval_dataset) if not trainer.args.sharded else {}
    if case.again:
        if trainer.is_world_process_zero():
            shutil.copy(out / "metrics.jsonl", out / "uninterrupted.jsonl")
            shutil.rmtree(out / "checkpoint-4")
        if dist.is_initialized():
            dist.barrier()
        torch.manual_seed(99)
        trainer = trainer_of(tiny())
        trainer.train(resume_from_checkpoint=True)
    weights = weights_of(trainer)
    if trainer.is_world_process_zero():
        torch.save({"whole": whole, "final": weights}, out / "weights.pt")
        (out / "evaluation.json").write_text(json.dumps(after))
    kind = type(trainer.model_wrapped).__name__
    (out / f"rank-{trainer.args.process_index}.json").write_text(json.dumps({"packs": packs, "wrapped": kind}))


def weights_of(trainer: LPOTrainer) -> dict[str, torch.Tensor]:
    """All trainable weights, whole."""
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return {name.removeprefix("module."): weight.detach().clone() for name, weight in weights.items()}


def check_processes(folder: Path) -> None:
    """What `processes` gives to each of two processes with 3 and 5 rows, and with 0 and 2."""
    rank = dist.get_rank()
    found: dict[str, Any] = {}
    for name, sizes in (("uneven", (3, 5)), ("empty", (0, 2))):
        data = torch.linspace(-1, 2, sum(sizes) * 2, dtype=torch.float64).view(-1, 2)
        own = data.split(sizes)[rank]
        weight = torch.tensor([0.5, -1.5], dtype=torch.float64, requires_grad=True)
        rows = gathered(own * weight)
        loss = rows.sum(1).logsumexp(0) + rows.square().mean()
        loss.backward()
        gradient = weight.grad if weight.grad is not None else torch.zeros(2, dtype=torch.float64)
        dist.all_reduce(gradient)
        found[name] = {"rows": rows.tolist(), "loss": loss.item(), "gradient": (gradient / 2).tolist()}  # as DDP averages
    found["sums"] = summed_by_name({"both": [1.0, 2.0], f"only {rank}": [3.0 + rank, 1.0]})
    (folder / f"processes-{rank}.json").write_text(json.dumps(found))


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    if "processes" in names:
        check_processes(folder)
    for name in names:
        if name != "processes":
            run_case(name, folder)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

"""A small training whose output a terminal shows: `python terminal_run.py FOLDER`, trained, stopped and resumed."""

import logging
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lpo_tts.training.trainer import LPOConfig, LPOTrainer

logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")


def main(folder: str) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    rows = [{"prompt_ids": [1, 2], "chosen_ids": [3, 4, i], "rejected_ids": [5, i]} for i in range(24)]
    for resume in (False, True):
        model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True))
        args = LPOConfig(
            output_dir=folder, use_cpu=True, max_steps=12, save_steps=4, logging_steps=1, per_device_train_batch_size=4
        )
        torch.manual_seed(0)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.02)
        if resume:
            (Path(folder) / "checkpoint-12/optimizer.pt").unlink()
        LPOTrainer(model, args=args, train_dataset=rows, eval_dataset=rows[:4], loss="dpo").train(resume_from_checkpoint=resume)


main(sys.argv[1])

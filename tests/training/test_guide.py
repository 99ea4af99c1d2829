"""The code of docs/training.md runs as it stands there."""

import re
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

GUIDE = Path(__file__).parents[2] / "docs" / "training.md"


def test_every_block_of_code_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 2
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("transformers.training_args.is_torch_bf16_gpu_available", lambda: True)  # a CPU computes bf16 as well
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(["Say hello<c12><c7><c30>"], trainers.BpeTrainer(vocab_size=100, special_tokens=["</s>"]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")
    torch.manual_seed(0)
    sizes = {"vocab_size": 100, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(**sizes)).save_pretrained(tmp_path / "my-codec-lm")
    rows = [{"prompt_ids": [1, 2], "chosen_ids": [3, 4, i], "rejected_ids": [5, i]} for i in range(8)]
    place = {"rows": rows[:6], "held_out_rows": rows[6:], "tokenizer": tokenizer}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), place)
    assert list(place["rows"][0]) == ["prompt_ids", "chosen_ids", "rejected_ids"]
    assert tokenizer.decode(place["rows"][0]["chosen_ids"]) == "<c12><c7></s>"
    assert (tmp_path / "run" / "metrics.jsonl").exists()

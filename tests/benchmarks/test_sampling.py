"""benchmarks/sampling.py: every way draws what it should, and the table holds the ratios to generate."""

from pathlib import Path

import pytest
import torch

from benchmarks import gpu, sampling
from benchmarks.sampling import SIZES, Size, compare, table
from lpo_tts.sampling.vllm_process import PYTHON

FAKE = Path(__file__).parents[1] / "sampling" / "fake"
TINY = Size({**SIZES["mini"].config, "vocab_size": 424}, prompts=2, candidates=3, prompt_tokens=5, max_tokens=8)


@pytest.mark.slow  # vllm starts a process
@pytest.mark.parametrize("lengths", ["equal", "own"])
def test_every_way_draws_its_tokens(lengths, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    torch.set_num_threads(1)
    ways = ["generate", "loop", "fast", "vllm"]
    found = compare(TINY, "fp32", "plain", lengths, ways, 1, "cpu")  # raises where a way draws another number of tokens
    assert list(found) == ways
    assert all(one["tokens_per_second"] > 0 for one in found.values())


def test_the_table_holds_the_ratios_to_generate():
    rates = {"generate": 1000.0, "fast": 3100.0}
    figures = {"mini": {name: {"tokens_per_second": rate, "tokens_per_cpu_second": rate / 2} for name, rate in rates.items()}}
    assert table(figures).splitlines()[-1] == "| mini | fast | 3,100 | 1,550 | 3.10x | 3.10x |"


def test_vllm_is_beside_where_it_is_installed(monkeypatch, tmp_path):
    monkeypatch.delenv(PYTHON, raising=False)
    assert "vllm" not in gpu.sampling(tmp_path, "cuda", quick=False).commands[0]
    monkeypatch.setenv(PYTHON, "python-of-vllm")
    command = gpu.sampling(tmp_path, "cuda", quick=False).commands[0]
    assert command[command.index("--ways") + 1 :][:3] == ("generate", "fast", "vllm")
    monkeypatch.setattr("sys.argv", ["sampling", *command[2:], "--help"])
    with pytest.raises(SystemExit) as ended:  # it knows these options
        sampling.main()
    assert ended.value.code == 0

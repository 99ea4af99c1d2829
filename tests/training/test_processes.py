"""Two processes give what one gives: the same losses at every step, the same weights, the same held-out numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lpo_tts.training.processes import gathered, summed, summed_by_name

sys.path.insert(0, str(Path(__file__).parent))  # for the program that both sides run
from parallel_run import CASES, SHARDED, run_case

HERE = Path(__file__).parent


def launch(folder, *names):
    """Two processes on this machine, each with one thread."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command += [str(HERE / "parallel_run.py"), str(folder), *names]
    done = run_two(command)
    assert done.returncode == 0, done.stderr[-6000:]


def run_two(command):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


QUICK = ("lpo-ste", "token budget")  # launched apart from the others


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    launch(folder, "processes", *QUICK)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    launch(folder, *(name for name in CASES if name not in QUICK))
    return folder


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded")
    launch(folder, *SHARDED)
    return folder


def rows_of(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "tokens_per_second"} for row in rows]


def ranks_of(folder, name):
    return [json.loads((folder / name / f"rank-{rank}.json").read_text()) for rank in range(2)]


def assert_same_training(one, two):
    expected, found = rows_of(one / "metrics.jsonl"), rows_of(two / "metrics.jsonl")
    assert [row["step"] for row in found] == [1, 2, 2, 3, 4, 4]  # two of them evaluations
    for theirs, own in zip(expected, found, strict=True):
        assert own == pytest.approx(theirs, rel=2e-4, abs=2e-5)
    assert found[-2]["loss"] != pytest.approx(found[0]["loss"], abs=1e-3)  # something was learnt
    weights, other = (torch.load(folder / "weights.pt")["final"] for folder in (one, two))
    assert weights.keys() == other.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(other[name], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_equal_one(name, request, tmp_path):
    two = request.getfixturevalue("two" if name in QUICK else "many")
    run_case(name, tmp_path)
    assert_same_training(tmp_path / name, two / name)
    first, second = ranks_of(two, name)
    assert first["wrapped"] == second["wrapped"] == "DistributedDataParallel"
    # five held-out pairs on two processes: each counts once, during training and after it
    held_out = [json.loads((folder / name / "evaluation.json").read_text()) for folder in (tmp_path, two)]
    assert held_out[1] == pytest.approx(held_out[0], rel=2e-4, abs=2e-5)


@pytest.mark.slow
def test_processes_may_cut_their_batches_into_different_numbers_of_packs(two):
    first, second = (ranks["packs"] for ranks in ranks_of(two, "token budget"))
    assert len(first) == len(second) == 4
    assert any(one != other for one, other in zip(first, second, strict=True)), (first, second)


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_from_its_checkpoint(many):
    folder = many / "bco"
    assert rows_of(folder / "metrics.jsonl") == rows_of(folder / "uninterrupted.jsonl")
    assert rows_of(folder / "metrics.jsonl")[-2]["state/delta"] != 0
    kept = torch.load(folder / "weights.pt")
    assert all(torch.equal(weight, kept["final"][name]) for name, weight in kept["whole"].items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uneven", "empty"])
def test_gathered_rows_and_their_gradient_are_those_of_the_whole(name, two):
    first, second = (json.loads((two / f"processes-{rank}.json").read_text())[name] for rank in range(2))
    weight = torch.tensor([0.5, -1.5], dtype=torch.float64, requires_grad=True)
    rows = torch.linspace(-1, 2, 2 * len(first["rows"]), dtype=torch.float64).view(-1, 2) * weight
    loss = rows.sum(1).logsumexp(0) + rows.square().mean()
    loss.backward()
    for found in (first, second):
        assert torch.allclose(torch.tensor(found["rows"], dtype=torch.float64), rows)
        assert found["loss"] == pytest.approx(loss.item())
        assert found["gradient"] == pytest.approx(weight.grad.tolist())


@pytest.mark.slow
def test_sums_by_name_take_names_that_one_process_lacks(two):
    for rank in range(2):
        found = json.loads((two / f"processes-{rank}.json").read_text())["sums"]
        assert found == {"both": [2.0, 4.0], "only 0": [3.0, 1.0], "only 1": [4.0, 1.0]}


def test_one_process_is_left_as_it_is():
    rows = torch.arange(4.0, requires_grad=True)
    assert gathered(rows) is rows
    assert summed(rows) is rows
    assert summed_by_name({"a": [1.0, 2.0]}) == {"a": [1.0, 2.0]}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARDED)
def test_fsdp2_equals_one_process(name, sharded, tmp_path):
    run_case(name, tmp_path)
    if name == "fsdp bf16":  # FSDP computes all in bf16, autocast only products: values agree roughly
        expected, found = (rows_of(folder / name / "metrics.jsonl") for folder in (tmp_path, sharded))
        for key in ("loss", "logps/chosen", "logps/rejected"):
            pairs = [(own[key], theirs[key]) for own, theirs in zip(found, expected, strict=True) if key in own]
            assert len(pairs) == 4
            assert all(own == pytest.approx(theirs, rel=0.03) for own, theirs in pairs), (key, pairs)
    else:
        assert_same_training(tmp_path / name, sharded / name)
    first, second = ranks_of(sharded, name)
    assert first["wrapped"] == second["wrapped"] == "FSDPLlamaForCausalLM"


@pytest.mark.slow
def test_a_sharded_run_goes_on_from_its_checkpoint(sharded):
    folder = sharded / "fsdp resumed"
    assert rows_of(folder / "metrics.jsonl") == rows_of(folder / "uninterrupted.jsonl")
    kept = torch.load(folder / "weights.pt")
    assert all(torch.equal(weight, kept["final"][name]) for name, weight in kept["whole"].items())


TOGETHER = """
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from lpo_tts.training.processes import from_first, together, world_size

def work():
    assert world_size() == 2
    assert from_first(lambda: "told") == "told"
    kept = [torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))]
    kept.append(kept)  # a cycle, as a trainer and its callbacks are: nothing frees it at once

try:
    with together("cpu"):
        work()
        if sys.argv[1] == "fails":
            raise KeyError
except KeyError:
    pass
assert not dist.is_initialized()
threads = [one.read_text() for one in Path("/proc/self/task").glob("*/comm")]  # none where there is no /proc
assert not [name for name in threads if "gloo" in name], threads
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["ends", "fails"])
def test_processes_part_before_python_ends(end, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(TOGETHER)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(program), end]
    done = run_two(command)
    assert done.returncode == 0, done.stderr[-6000:]

"""benchmarks/gpu.py: what it keeps, what it says of failures, and that all of it runs, rehearsed on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import Part, main, read_figures, table

ROOT = Path(__file__).parents[2]
QUICK = ("--device", "cpu", "--quick")


def writing(name, text, then=""):
    return Part(name, (("-c", f"open({text[0]!r}, 'w').write({text[1]!r}); {then}"),), Path(text[0]).name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_device_it_says_so_in_a_line(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == "there is no CUDA device here; rehearse with --device cpu --quick\n"
    assert main(["--out", str(tmp_path / "none"), "--device", "cpu"]) == 2
    assert "give --quick too" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_part_that_fails_stops_no_other_and_is_run_again_alone(tmp_path, monkeypatch, capsys):
    figures = tmp_path / "mini.json"
    runs = tmp_path / "runs"
    good = writing("mini", (str(figures), '{"headline": ["WER falls"]}'), f"open({str(runs)!r}, 'a').write('x')")
    bad = Part(
        "tests",
        (("-c", "print('why it failed'); raise SystemExit(3)"), ("-c", f"open({str(runs)!r}, 'a').write('no')")),
        "t.json",
    )
    silent = Part("sampling", (("-c", "pass"),), "s.json")
    monkeypatch.setattr(gpu, "parts", lambda *where: [bad, good, silent])
    assert main(["--out", str(tmp_path), *QUICK]) == 1
    assert runs.read_text() == "x"
    found = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert found["tests"]["failure"].startswith("python -c print('why it failed')")
    assert "exit 3\nwhy it failed" in found["tests"]["failure"]
    assert found["sampling"]["failure"] == "it left no s.json"
    assert found["mini"]["figures"] == {"headline": ["WER falls"]}
    assert "mini: WER falls" in (tmp_path / "gpu.md").read_text()
    assert main(["--out", str(tmp_path), *QUICK, "--only", "mini"]) == 0
    assert "mini: done before" in capsys.readouterr().out
    assert runs.read_text() == "x"
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "old").touch()
    assert main(["--out", str(tmp_path), *QUICK, "--only", "mini", "--redo"]) == 0
    assert runs.read_text() == "xx"
    assert not (tmp_path / "mini").exists()


def test_figures_of_another_machine_do_not_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "parts", lambda *where: [writing("mini", (str(tmp_path / "m.json"), "{}"))])
    (tmp_path / "gpu.json").write_text(json.dumps({"machine": {"device": "cuda"}, "parts": {"training": {"seconds": 1.0}}}))
    assert main(["--out", str(tmp_path), *QUICK]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert list(found["parts"]) == ["mini"]
    assert found["machine"]["torch"] == torch.__version__


@pytest.mark.slow
def test_pytests_figures_name_what_failed_and_what_was_skipped(tmp_path):
    (tmp_path / "test_some.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 1 == 2\n"
        "@pytest.mark.skip(reason='no card')\ndef test_c(): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "--junit-xml=t.xml", "test_some.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    found = read_figures(tmp_path / "t.xml")
    assert (found["tests"], found["failures"], found["errors"], found["skipped"]) == (3, 1, 0, 1)
    assert "assert 1 == 2" in found["failed"]["test_b"]
    assert found["left_out"] == {"test_c": "no card"}
    lines = table({"machine": {"device": "cpu", "torch": "2"}, "parts": {"tests": {"seconds": 61, "figures": found}}})
    assert "| tests | 1 passed, 1 failed, 1 skipped | 61 |" in lines


@pytest.mark.parametrize(("speed", "share", "word"), [(3.1, 0.41, "met"), (2.9, 0.5, "missed"), (4.0, 0.39, "missed")])
def test_the_table_holds_the_figures_against_the_targets(speed, share, word):
    side = {"pairs_per_second": 1.5, "above_own_mib": 1000.0}
    row = {"shape": "b", "vocabulary": 65536, "ours": side, "trl": side, "speed": speed, "memory": 0.4}
    row["share_of_peak"] = {"ours": share, "trl": 0.1}
    found = {"machine": {"device": "cuda", "gpu": "card", "driver": "1", "torch": "2"}}
    found["parts"] = {"training": {"seconds": 2.0, "figures": {"compare": [row]}}}
    assert table(found).splitlines()[-1].endswith(f"| {share:.0%} / 10% | {word} |")


def test_the_table_holds_the_rates_of_sampling():
    ways = {"generate": {"tokens_per_second": 2000.0}, "fast": {"tokens_per_second": 7000.0}}
    found = {"machine": {"device": "cuda", "gpu": "card", "driver": "1", "torch": "2"}}
    found["parts"] = {"sampling": {"seconds": 2.0, "figures": {"rows": {"1b, bf16, 1, plain, equal": ways}}}}
    assert table(found).splitlines()[-2:] == [
        "| 1b, bf16, 1, plain, equal | generate | 2,000 | 1.00x |",
        "| 1b, bf16, 1, plain, equal | fast | 7,000 | 3.50x |",
    ]


@pytest.mark.slow
def test_every_parts_program_knows_its_options(tmp_path):
    for device, quick in (("cuda", False), ("cpu", True)):
        names = [part.name for part in gpu.parts(tmp_path, device, quick)]
        assert names == ["tests", "training", "sampling", "mini"]
    command = [sys.executable, "-m", "benchmarks.training", *gpu.training(tmp_path, "cuda", False).commands[0][2:]]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    if not torch.cuda.is_available():
        assert done.returncode == 2
        assert "--device cuda: there is no CUDA device here" in done.stderr


@pytest.mark.slow
def test_a_rehearsal_on_the_cpu(tmp_path):
    assert main(["--out", str(tmp_path), *QUICK, "--only", "tests", "training"]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["skipped"] == ["sampling", "mini"]
    tests, training = found["parts"]["tests"]["figures"], found["parts"]["training"]["figures"]
    assert tests["tests"] > 20
    assert not tests["failed"]
    (row,) = training["compare"]
    assert row["ours"]["pairs_per_second"] > 0
    assert row["trl"]["pairs_per_second"] > 0
    assert 0 < row["share_of_peak"]["ours"] < 1
    assert "| training | done |" in (tmp_path / "gpu.md").read_text()

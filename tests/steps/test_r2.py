"""The r2 step in the tiny world: it reads a run folder, whatever has been done there, and writes nothing."""

import hashlib
import logging
import re
import shutil

import pytest

from lpo_tts import cli
from lpo_tts.errors import ConfigError
from lpo_tts.recipe import load
from lpo_tts.steps import r2
from lpo_tts.training.pilot import MIN_HELD_OUT


@pytest.fixture(scope="module")
def paired(tiny, tmp_path_factory):
    """A run folder up to its pairs."""
    out = tmp_path_factory.mktemp("paired") / "out"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", "--until", "pair", "--quiet"]) == 0
    return tiny / "recipe.yaml", out


def measured(paired, *overrides, out=None, **options):
    path, paired_out = paired
    recipe = load(path, [f"out={out or paired_out}", *overrides])
    lines = []
    r2.execute(recipe.run(tell=lines.append), **options)
    return lines


def contents(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.slow
def test_it_prints_a_row_for_every_r2_and_leaves_the_run_folder_as_it_was(paired, caplog):
    before = contents(paired[1])
    with caplog.at_level(logging.INFO):
        lines = measured(paired, "train.loss={name: lpo-ste, r2: 0.3}", steps=3, values=[0.2])
    assert contents(paired[1]) == before
    assert re.match(r"3 of \d+ optimizer steps each, rate 0.001, \d+ held-out pairs", lines[0])
    rows = [line.split("  ")[0].strip() for line in lines if re.match(r"0(\.\d)?( \*)?  ", line)]
    assert rows == ["0", "0.2", "0.3 *"]
    assert not re.search(r"\b(inf|nan)\b", "\n".join(lines))
    assert "r2 0.3 (3 of 3): step 3 of 3" in caplog.text


@pytest.mark.slow
def test_too_few_held_out_pairs_are_filled_up_and_it_says_so(paired):
    lines = measured(paired, steps=1, values=[])
    found = re.search(r"(\d+) held-out pairs, (\d+) of them taken from the training pairs", lines[0])
    assert found
    assert 1 <= int(found[2]) <= int(found[1]) < MIN_HELD_OUT


@pytest.mark.slow
def test_it_does_the_same_after_training(paired, tmp_path):
    path, out = paired
    shutil.copytree(out, tmp_path / "out")
    assert cli.main(["run", str(path), f"out={tmp_path / 'out'}", "--until", "train", "--quiet"]) == 0
    before = contents(tmp_path / "out")
    loss = "train.loss={name: lpo-ste, gamma: 0}"  # gamma acts at x1 < 0, and at the start x1 is 0 but for rounding
    lines = measured(paired, loss, out=tmp_path / "out", steps=2, values=[])
    assert contents(tmp_path / "out") == before
    assert lines == measured(paired, loss, steps=2, values=[])


@pytest.mark.slow
def test_kept_reference_log_probs_are_read(paired, tmp_path, monkeypatch):
    path, out = paired
    shutil.copytree(out, tmp_path / "out")
    assert cli.main(["run", str(path), f"out={tmp_path / 'out'}", "--until", "reference", "--quiet"]) == 0
    monkeypatch.setattr("lpo_tts.training.pilot.compute_reference", None)
    assert measured(paired, out=tmp_path / "out", steps=1, values=[])


@pytest.mark.slow
def test_lora_is_measured_too(paired):
    pytest.importorskip("peft")
    lines = measured(paired, "train.lora.rank=2", "train.learning_rate=1e-2", steps=2, values=[])
    assert lines[0].startswith("2 of ")


@pytest.mark.parametrize("loss", ["dpo", "lpo", "lpo-ste-dynamic", "kto", "lipo"])
@pytest.mark.slow
def test_a_loss_without_r2_is_refused_by_name(paired, loss):
    with pytest.raises(ConfigError, match=f"the loss of aligned, {loss}, has no r2 to measure; lpo-ste and lpo-r have one"):
        measured(paired, f"train.loss={{name: {loss}}}")


@pytest.mark.slow
def test_of_several_systems_those_with_r2_are_measured_and_the_others_named(paired, tmp_path):
    shutil.copytree(paired[1], tmp_path / "out")
    variants = "variants={aligned: {}, peer: {train: {loss: {name: dpo}}}}"
    lines = measured(paired, variants, out=tmp_path / "out", steps=1, values=[])
    assert lines[0] == "the loss of peer, dpo, has no r2 to measure"
    assert all(line.startswith("aligned: ") for line in lines[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: expected at least 1, found 0"),
        ({"values": [0.2, -1.0]}, "values of r2: expected finite numbers of at least 0, found -1"),
        ({"values": [float("nan")]}, "values of r2: expected finite numbers of at least 0, found nan"),
    ],
)
def test_steps_and_values_out_of_range_are_refused(paired, options, message):
    with pytest.raises(ConfigError, match=message):
        measured(paired, **options)


def test_several_processes_are_refused(paired, monkeypatch):
    monkeypatch.setattr(r2, "launched", lambda: (0, 2))
    with pytest.raises(ConfigError, match="2 processes were launched, but r2 is measured by one"):
        measured(paired)

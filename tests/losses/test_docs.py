"""The table of docs/losses.md against the registry."""

import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import pytest
import torch

from lpo_tts.config import parse_value
from lpo_tts.errors import ConfigError
from lpo_tts.losses import REGISTRY
from lpo_tts.losses.base import Loss
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.mixture import Mixture
from lpo_tts.recipe import STRUCTURER

PAGE = Path(__file__).parents[2] / "docs" / "losses.md"
COLUMNS = ("formula", "paper", "needs", "reduction", "target", "file")
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split(" | ")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| `[a-z0-9-]+` \|.*\.py\)", line)
]
TABLE = {row[0].strip("`"): dict(zip(COLUMNS, row[1:], strict=True)) for row in ROWS}
LOSSES = {name: (lambda: Mixture((DPO(),))) if name == "mixture" else REGISTRY.get(name) for name in REGISTRY}


def declared(loss):
    """The needs column, from what the class declares."""
    reference = {"none": "", "logps": "reference"}.get(loss.needs_reference, f"reference {loss.needs_reference}")
    return [
        loss.data,
        *([reference] if reference else []),
        *(["tokens"] if loss.needs_tokens else []),
        *([f"{loss.needs_logits} logits"] if loss.needs_logits != "none" else []),
        *(["margins"] if loss.needs_margins else []),
        *(["batch"] if loss.over_batch else []),
        *(["state"] if loss.initial_state() else []),
        *(["adversary"] if loss.needs_adversary else []),
    ]


def test_every_loss_has_one_row_in_the_order_of_the_registry():
    assert [row[0].strip("`") for row in ROWS] == list(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_row_says_what_the_class_declares(name):
    row, loss = TABLE[name], LOSSES[name]()
    if name == "mixture":
        assert row["needs"] == "pair, what its parts need"
        assert row["reduction"] == "as its first part"
    else:
        assert row["needs"].split(", ") == declared(loss)
        chosen = "reduction" in {field.name for field in dataclasses.fields(loss)} and name != "lpo-ste-dynamic"
        assert row["reduction"] == (f"{loss.reduction} or sum" if chosen else loss.reduction)
    file = Path(inspect.getfile(type(loss)))
    assert row["file"] == f"[{file.name}](../lpo_tts/losses/{file.name})"
    assert (PAGE.parent / "../lpo_tts/losses" / file.name).resolve() == file.resolve()
    numbers = re.findall(r"\d{4}\.\d{5}", type(loss).paper)
    assert set(numbers) <= set(re.findall(r"\d{4}\.\d{5}", row["paper"]))
    for equation in re.findall(r"eq\. [\d.]+", type(loss).paper):
        assert equation in row["paper"]


@pytest.mark.parametrize("name", REGISTRY)
def test_finite_target(name):
    """A loss with a target says so; `rpo` has one for every pair, which no attribute can hold."""
    loss = LOSSES[name]()
    pushes_back = loss.beyond_target(torch.zeros(1), torch.zeros(1)) is not None
    has_one = loss.target_margin is not None or pushes_back or name == "rpo"
    assert (TABLE[name]["target"] != "-") == has_one
    assert ("without push back" in TABLE[name]["target"]) == (loss.target_margin is not None and not pushes_back)


def test_what_the_page_quotes_of_the_code():
    text = PAGE.read_text(encoding="utf-8")
    assert "gamma (r1 + r2) / (4 beta r1)" in text
    lpo = REGISTRY.get("lpo-ste")
    assert lpo().floor_weight / lpo().chosen_gradient() == pytest.approx(15)
    assert lpo(beta=1.0).floor_weight / lpo(beta=1.0).chosen_gradient() == pytest.approx(3)
    assert lpo().target_margin == 2.5


def test_the_loss_of_ones_own_works_as_the_page_says(tmp_path, monkeypatch):
    section = (PAGE.parent / "extend" / "loss.md").read_text(encoding="utf-8")
    written, checked = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / "my_losses.py").write_text(written)
    monkeypatch.syspath_prepend(tmp_path)
    exec(checked, vars(importlib.import_module("my_losses")))  # raises AssertionError where a check fails
    (tree,) = re.findall(r"```yaml\nloss: (.*?)\n```", section)
    loss = STRUCTURER.structure(parse_value(tree), Loss)
    assert (type(loss).__name__, loss.beta, loss.margin) == ("SoftHinge", 2.0, 0.5)
    assert STRUCTURER.structure(STRUCTURER.unstructure(loss, Loss), Loss) == loss
    with pytest.raises(ConfigError, match=r"SoftHinge.margin must be at least 0, found -1"):
        STRUCTURER.structure({"name": "my_losses:SoftHinge", "margin": -1}, Loss)

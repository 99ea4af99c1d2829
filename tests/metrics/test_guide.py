"""The code of docs/extend/metric.md runs as it stands there, and its recipe names what it wrote."""

import re
from dataclasses import fields
from pathlib import Path

import yaml

from lpo_tts.judging import expanded
from lpo_tts.metrics import REGISTRY
from lpo_tts.metrics.base import Judgement, scale_of
from lpo_tts.recipe import STRUCTURER
from lpo_tts.scale import Scale
from lpo_tts.steps.evaluate import EvaluateSettings
from lpo_tts.steps.score import ScoreSettings

GUIDE = (Path(__file__).parents[2] / "docs" / "extend" / "metric.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def test_every_block_of_code_runs_and_the_recipe_takes_the_metric(tmp_path, monkeypatch):
    (tmp_path / "my_metrics.py").write_text(blocks("python")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    place = {"SpeakingRate": REGISTRY.get("my_metrics:SpeakingRate")}
    for block in blocks("python")[1:]:
        exec(compile(block, "metric.md", "exec"), place)
    own = type("Noisy", (place["SpeakingRate"],), {"derived": place["derived"]})()
    told = expanded(own, "rate", Judgement(value=2.5, detail={"noise": -60.0}))
    assert {name: one.value for name, one in told.items()} == {"rate": 2.5, "rate.noise": -60.0}
    tree = yaml.safe_load(blocks("yaml")[0])
    score = STRUCTURER.structure(tree["score"], ScoreSettings)
    judges = STRUCTURER.structure(tree["evaluate"], EvaluateSettings).judges
    assert score.metrics["rate"].min_duration == 0.2
    assert scale_of(judges["rate"].metric).text(2.5) == "2.500 words/s"


def test_every_attribute_stands_in_the_table():
    rows = [line.split("|")[1] for line in GUIDE.splitlines() if line.startswith("| `")]
    more = {"derived", "advisory", "needs_voice_copy"}  # what is no part of the scale
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {field.name for field in fields(Scale)} | more

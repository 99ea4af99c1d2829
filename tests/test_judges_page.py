"""docs/judges.md: its server answers the metric and the comparer, its recipes are read, its numbers are those of the code."""

import json
import re
import threading
from pathlib import Path

import pytest
import torch
import yaml

from lpo_tts.comparers.base import Speech, both_ways
from lpo_tts.metrics import REGISTRY
from lpo_tts.metrics.base import derived_of, is_advisory, scale_of
from lpo_tts.posting import exchange, service
from lpo_tts.recipe import STRUCTURER
from lpo_tts.records import Comparison
from lpo_tts.steps.judges import EvaluateSettings
from lpo_tts.steps.pair import PairSettings
from lpo_tts.steps.score import ScoreSettings

PAGE = (Path(__file__).parents[1] / "docs" / "judges.md").read_text(encoding="utf-8")
URL_SECTION = PAGE.partition("## Judges behind a URL")[2].partition("\n## ")[0]
PAIR_SECTION = PAGE.partition("## Pairwise judges and votes")[2].partition("\n## ")[0]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def port():
    """Where the server of the page listens."""
    place = {}
    (code,) = blocks(URL_SECTION, "python")
    exec(compile(code, "judges.md", "exec"), place)
    server = place["serve"](0)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_the_server_of_the_page_scores_and_compares(port):
    (text,) = blocks(URL_SECTION, "yaml")
    settings = STRUCTURER.structure(yaml.safe_load(text.replace("8100", str(port)))["score"], ScoreSettings)
    tone = torch.sin(torch.arange(8000) / 5)
    quiet, loud = (Speech(id=str(level), audio=level * tone, sample_rate=16000, text="one two") for level in (0.1, 0.5))
    judged = settings.metrics["mos"].load().judge([quiet, loud])
    assert [one.value for one in judged] == pytest.approx([1 + 4 * 0.1 / 2**0.5, 1 + 4 * 0.5 / 2**0.5], abs=0.01)
    assert judged[0].detail == {"words": 2}
    (opinion,) = both_ways(settings.comparisons["listener"].comparer.load(), [(quiet, loud)])
    assert (opinion.preferred, opinion.detail["answers"]) == ("second", ["second", "second"])


def test_the_recipes_lines_and_the_row_of_the_page_can_be_read():
    first, second = (yaml.safe_load(text) for text in blocks(PAIR_SECTION, "yaml"))
    scored = STRUCTURER.structure(first["score"], ScoreSettings)
    paired = STRUCTURER.structure(first["pair"], PairSettings)
    assert set(paired.sources) <= set(scored.comparisons)
    assert STRUCTURER.structure(second["pair"], PairSettings).sources == [Path("candidate-votes.jsonl")]
    (row,) = blocks(PAIR_SECTION, "json")
    assert STRUCTURER.structure(json.loads(row), Comparison).outcome == ("p7#3", "p7#0")


def test_the_faults_of_the_page_are_those_of_the_code():
    assert {int(one) for one in re.findall(r"\d{3}", re.search(r"\| status (.*?) \| yes", PAGE)[1])} == exchange.PASSING
    assert f"none is longer than {service.LONGEST_WAIT:.0f} s" in PAGE
    assert f"no answer to {service.PATIENCE} questions in a row" in PAGE
    assert exchange.LARGEST_ANSWER == 1 << 20


def test_both_similarities_of_the_page_can_be_read():
    section = PAGE.partition("## Speaker encoders")[2].partition("\n## ")[0]
    text = next(block for block in blocks(section, "yaml") if "codec_copy" in block)
    judges = STRUCTURER.structure(yaml.safe_load(text)["evaluate"], EvaluateSettings).judges
    assert {name: scale_of(judge.metric).short for name, judge in judges.items()} == {"voice": "SIM-o", "voice-copy": "SIM-r"}


def test_the_figures_of_the_page_are_those_of_the_metrics():
    section = PAGE.partition("## Figures beside a judge's value")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    stated = {judge.strip(" `"): set(re.findall(r"<judge>\.(\w+)", figures)) for judge, figures in rows}
    derived = {name: set(derived_of(REGISTRY.get(name))) for name in REGISTRY}
    assert stated == {name: figures for name, figures in derived.items() if figures}
    advisory = {name for name in REGISTRY if is_advisory(REGISTRY.get(name))}
    line = next(line for line in section.splitlines() if line.startswith("**Guesses at a quality"))
    assert set(re.findall(r"`(\w+)`", line.partition(" have the role ")[0])) == advisory

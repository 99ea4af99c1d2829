"""`lpo-tts list`: every member and recipe with a caption and what there is to know of it, without importing it."""

import json
import subprocess
import sys

import pytest

from lpo_tts import asr, cli, codecs, listing, metrics, speaker
from lpo_tts.errors import ConfigError
from lpo_tts.members import Member, describe
from lpo_tts.registry import Registry

WITH_WEIGHTS = {
    "codecs": set(codecs.REGISTRY),
    "asr": set(asr.REGISTRY),
    "speaker": set(speaker.REGISTRY),
    "metrics": {"audiobox", "distillmos", "dnsmos", "nisqa", "utmos"},
}


@pytest.mark.parametrize("registry", listing.FAMILIES, ids=lambda registry: registry.family)
def test_every_member_has_a_caption_and_those_with_weights_a_licence(registry):
    for name in registry:
        member = describe(registry, name)
        assert len(member.caption) > 15, name
        assert "\n" not in member.caption
        if name in WITH_WEIGHTS.get(registry.family, ()) and "process" not in name:
            assert member.about["licence"], name
            assert member.about["sample_rate"] >= 8000, name
        if registry.family == "codecs" and name != "process":
            assert member.about["tokens_per_second"] > 0, name


def test_what_is_read_as_text_is_what_the_class_has():
    for registry in (codecs.REGISTRY, asr.REGISTRY, speaker.REGISTRY, metrics.REGISTRY):
        for name in registry:
            assert describe(registry, name).about == getattr(registry.get(name), "about", {}), name


@pytest.mark.parametrize("width", [80, 120])
def test_it_can_be_read_at_any_width_of_a_terminal(monkeypatch, width):
    lines = listing.listing(width=width)
    assert max(len(line) for line in lines) <= width
    assert not any("\N{NO-BREAK SPACE}" in line for line in lines)
    entry = lines.index(next(line for line in lines if line.startswith("  mini ")))
    assert lines[entry + 1].startswith(" " * 6), "what belongs to a name stands under its caption"


def test_a_member_is_listed_with_its_extra_licence_and_rates(monkeypatch):
    facts = {"licence": "MIT", "sample_rate": 24000, "tokens_per_second": 82.03125}
    found = Member("codecs", "snac", "SNAC.", ("snac",), ("lpo-tts[snac]",), facts)
    monkeypatch.setattr(listing, "describe", lambda registry, name: found)
    lines = listing._family(Registry("codecs", {"snac": "x:Y"}), 120)
    assert list(lines) == [
        "codecs: snac",
        "  snac  SNAC.",
        "        extra: snac · [needs lpo-tts[snac]] · licence: MIT · 24,000 Hz · 82.03 tokens/s",
    ]


def test_a_long_name_has_a_line_of_its_own():
    lines = list(listing._entry("a-name-of-twenty-five-let", "Caption.", [["a fact"], [], ["another"]], listing.NAMES, 80))
    assert lines == ["  a-name-of-twenty-five-let", " " * 22 + "Caption.", " " * 22 + "a fact", " " * 22 + "another"]


def test_recipes_are_listed_with_model_licence_rates_and_memory(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert cli.main(["list", "recipes"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for word in (
        "llasa-1b Llasa-1B, a Llama",
        "HKUSTAudio/Llasa-1B",
        "CC BY-NC 4.0",
        "16,000 Hz · 50 tokens/s",
        "GPU to train: ",
    ):
        assert word in shown, word


def test_machines_get_json(capsys):
    assert cli.main(["list", "--json"]) == 0
    rows = {(row["family"], row["name"]): row for row in json.loads(capsys.readouterr().out)}
    assert rows["codecs", "encodec"]["tokens_per_second"] == 600
    assert rows["codecs", "xcodec2"]["extras"] == ["speaker"]
    assert rows["losses", "dpo"]["licence"] is None
    assert rows["recipes", "llasa-1b"]["model"] == "HKUSTAudio/Llasa-1B"
    assert cli.main(["list", "losses", "--json"]) == 0
    assert {row["family"] for row in json.loads(capsys.readouterr().out)} == {"losses"}


def test_nothing_heavy_is_imported():
    code = "import sys; from lpo_tts import cli; cli.main(['list']); print({'torch', 'transformers', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_an_unknown_family_is_refused():
    with pytest.raises(ConfigError, match=r"no family named 'fruits' \(there are: backbones, frontends, codecs.*, recipes\)"):
        listing.listing("fruits")

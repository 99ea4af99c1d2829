"""Licences as recipes write them become those of the Hub; of two the stricter one counts; what is unknown stays so."""

import pytest

from lpo_tts import starters
from lpo_tts.exchange.licences import licence_of


@pytest.mark.parametrize(
    ("text", "hub_id"),
    [
        ("Apache-2.0", "apache-2.0"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("MIT", "mit"),
        ("CC BY-NC 4.0", "cc-by-nc-4.0"),
        ("cc-by-nc-nd-4.0", "cc-by-nc-nd-4.0"),
        ("CC BY-SA 3.0", "cc-by-sa-3.0"),
        ("CC-BY 4.0", "cc-by-4.0"),
        ("CC0", "cc0-1.0"),
        ("Apache-2.0 (repository); the base model is under the Llama 3.2 licence", "llama3.2"),
        ("NeuTTS Open License 1.0", "other"),
    ],
)
def test_licences_have_their_names_on_the_hub(text, hub_id):
    found = licence_of(text)
    assert found is not None
    assert found.hub_id == hub_id


@pytest.mark.parametrize(
    "text", ["", "  ", "not verified", "MIT (repository); that of the weights is not verified", "yours; see there"]
)
def test_what_is_not_known_is_none(text):
    assert licence_of(text) is None


def test_what_a_licence_forbids():
    assert licence_of("CC BY-NC 4.0").non_commercial
    assert not licence_of("CC BY-NC 4.0").no_derivatives
    assert licence_of("CC BY-ND 4.0").no_derivatives
    assert licence_of("a non-commercial, no-derivatives licence").no_derivatives
    assert not licence_of("Apache-2.0").non_commercial
    assert licence_of("NeuTTS Open License 1.0").metadata() == {"license": "other", "license_name": "neutts-open-license-1.0"}


def test_every_recipe_names_a_licence_or_says_that_it_does_not_know():
    for one in map(starters.read, starters.names()):
        text = str(one.about.get("licence", ""))
        if licence_of(text) is None:
            assert "verified" in text or "yours" in text or not text, one.name

"""Text front ends: phones by espeak-ng, straight quotes, and the contract over every member."""

import pytest

from lpo_tts.errors import ComponentError, ConfigError, ContractError
from lpo_tts.frontends import REGISTRY
from lpo_tts.frontends import espeak as module
from lpo_tts.frontends.espeak import EspeakFrontEnd
from lpo_tts.frontends.straight import StraightFrontEnd
from lpo_tts.testing import check_front_end

TEXTS = ["Hello, world.", "It’s “25” degrees!", "one", "  "]


@pytest.mark.parametrize("name", REGISTRY)
def test_every_member_keeps_the_contract(name):
    check_front_end(REGISTRY.get(name)(), TEXTS)


def test_phones_keep_punctuation_and_stress():
    spell = EspeakFrontEnd().load()
    assert spell("Hello,   world.") == "həlˈoʊ, wˈɜːld."
    assert EspeakFrontEnd(stress=False).load()("Hello, world.") == "həloʊ, wɜːld."
    assert EspeakFrontEnd("de").load()("Guten Tag") == "ɡˈuːtən tˈɑːk"


def test_a_borrowed_word_leaves_no_flag():
    assert "(" not in EspeakFrontEnd("fr-fr").load()("un weekend dos")


def test_straight_quotes_and_compatible_forms():
    assert StraightFrontEnd().load()("“It’s ﬁne”, «oui»… ½") == '"It\'s fine", «oui»... 1⁄2'


def test_bad_settings_and_texts_have_one_line(monkeypatch):
    with pytest.raises(ConfigError, match="language: expected espeak-ng's name of a language"):
        EspeakFrontEnd(" ")
    with pytest.raises(ComponentError, match=r"espeak-ng 1\.\d+\.\d+ knows no 'klingon'"):
        EspeakFrontEnd("klingon").load()
    spell = EspeakFrontEnd().load()
    monkeypatch.setattr(module, "_backend", lambda *_: type("Mute", (), {"phonemize": lambda self, texts: [""]})())
    with pytest.raises(ContractError, match=r"finds no phones in the text '☃' \(language en-us\); write words"):
        spell("☃")


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "phonemizer.backend", None)
    module._backend.cache_clear()
    with pytest.raises(ComponentError, match=r"pip install 'lpo-tts\[phones\]'"):
        EspeakFrontEnd().load()
    module._backend.cache_clear()

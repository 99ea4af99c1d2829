"""What is read off a member's file: caption, packages, extras and the facts in `about`."""

import pytest

from lpo_tts import codecs, members
from lpo_tts.registry import Registry

MEMBER = '''
import json

import lpo_tts.errors


class Codec:
    """Speaks backwards,
    and slowly.

    More than a caption.
    """

    about = {"licence": "MIT", "sample_rate": 24000, "tokens_per_second": 82.03, "extra": "speaker"}

    def load(self, device="cpu"):
        """Not a caption."""
        import encodec_of_nobody.models
        from speechbrain_of_nobody import inference

        importlib.import_module("onnx_of_nobody")
        importlib.util.find_spec("weights_of_nobody")
'''


def member_in(tmp_path, monkeypatch, extras):
    (tmp_path / "backwards.py").write_text(MEMBER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(members, "_extras", lambda: extras)
    return members.describe(Registry("codecs", {"backwards": "backwards:Codec"}), "backwards")


def test_packages_that_are_not_installed_are_named(tmp_path, monkeypatch):
    found = member_in(tmp_path, monkeypatch, {"encodec_of_nobody": "encodec"})
    assert found.caption == "Speaks backwards, and slowly."
    assert found.missing == ("lpo-tts[encodec]", "onnx_of_nobody", "speechbrain_of_nobody", "weights_of_nobody")
    assert found.extras == ("encodec", "speaker"), "by its imports, and by `about`"
    assert found.about["licence"] == "MIT"
    assert found.about["tokens_per_second"] == 82.03


def test_a_member_of_ones_own_is_read_too(tmp_path, monkeypatch):
    (tmp_path / "forwards.py").write_text(MEMBER)
    monkeypatch.syspath_prepend(tmp_path)
    assert members.describe(codecs.REGISTRY, "forwards:Codec").caption == "Speaks backwards, and slowly."
    assert members.describe(codecs.REGISTRY, "forwards:Other").missing == ("class Other in forwards",)
    assert members.describe(codecs.REGISTRY, "no_such_module:Codec").missing == ("module no_such_module",)


def test_an_extra_is_named_though_it_is_installed(monkeypatch):
    monkeypatch.setattr(members, "_extras", lambda: {"torch": "heavy"})
    found = members.describe(codecs.REGISTRY, "encodec")
    assert found.extras == ("heavy",)
    assert found.missing == ()


@pytest.fixture
def forgetful():
    members._extras.cache_clear()
    yield
    members._extras.cache_clear()


@pytest.mark.usefixtures("forgetful")
def test_extras_come_from_the_checkout_or_from_the_metadata(tmp_path, monkeypatch):
    assert members._extras()["speechbrain"] == "speaker"
    assert "torch" not in members._extras()
    monkeypatch.setattr(members, "PYPROJECT", tmp_path / "none.toml")
    listed = [
        "torch>=2.11",
        'torch>=2.11; extra == "speaker"',
        'speech-brain>=1.1; extra == "speaker"',
        'snac>=1.2 ; extra == "snac"',
        'trl>=1.16; extra == "dev"',
    ]
    monkeypatch.setattr(members.importlib.metadata, "requires", lambda name: listed)
    members._extras.cache_clear()
    assert members._extras() == {"speech_brain": "speaker", "snac": "snac"}

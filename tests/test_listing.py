"""`lpo-tts list`: every member with a caption and what it lacks here, without importing it."""

import pytest

from lpo_tts import listing
from lpo_tts.errors import ConfigError
from lpo_tts.registry import Registry

MEMBER = '''
import json

import lpo_tts.errors


class Codec:
    """Speaks backwards,
    and slowly.

    More than a caption.
    """

    def load(self, device="cpu"):
        """Not a caption."""
        import encodec_of_nobody.models
        from speechbrain_of_nobody import inference
'''


@pytest.mark.parametrize("registry", listing.FAMILIES, ids=lambda registry: registry.family)
def test_every_member_has_a_caption(registry):
    for name in registry:
        caption, _ = listing.describe(registry, name)
        assert len(caption) > 15, name
        assert "\n" not in caption


def test_packages_that_are_not_installed_are_named(tmp_path, monkeypatch):
    (tmp_path / "backwards.py").write_text(MEMBER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(listing, "_extras", lambda: {"encodec_of_nobody": "encodec"})
    caption, lacking = listing.describe(Registry("codecs", {"backwards": "backwards:Codec"}), "backwards")
    assert caption == "Speaks backwards, and slowly."
    assert lacking == ["needs lpo-tts[encodec]", "needs speechbrain_of_nobody"]


def test_an_unknown_family_is_refused():
    with pytest.raises(ConfigError, match=r"no family named 'fruits' \(there are: backbones, frontends, codecs"):
        listing.listing("fruits")

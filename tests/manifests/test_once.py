"""Ids that come twice are refused, with the place."""

import pytest

from lpo_tts.errors import ArtefactError
from lpo_tts.manifests.once import Once


def test_an_id_is_taken_once():
    once = Once()
    for name in ("a", "b", "A"):
        once.take(name, "t.parquet")
    with pytest.raises(ArtefactError, match=r"t\.parquet: expected every id once, found 'b' twice; remove one of the rows"):
        once.take("b", "t.parquet")

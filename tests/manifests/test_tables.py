"""Tables as others wrote them, line by line."""

import pytest

from lpo_tts.errors import ArtefactError
from lpo_tts.manifests import tables


def test_lines_are_parted_by_line_feeds_only(tmp_path):
    (tmp_path / "t").write_bytes("\ufeffone\u2028still one\r\n\n  \ntwo".encode())
    assert list(tables.lines(tmp_path / "t")) == [(1, "one\u2028still one"), (4, "two")]
    (tmp_path / "t").write_bytes(b"fine\ncaf\xe9\n")
    with pytest.raises(ArtefactError, match="expected UTF-8 text, found other bytes"):
        list(tables.lines(tmp_path / "t"))
    with pytest.raises(ArtefactError, match="No such file"):
        list(tables.lines(tmp_path / "none"))


def test_a_name_is_no_path():
    assert tables.is_name("a.mp3")
    assert not any(map(tables.is_name, ("", ".", "..", "../a.mp3", "/a.mp3", "b/a.mp3")))

"""A folder appears whole or not at all, and nothing of anybody's is written over."""

import pytest

from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.folders import new_folder


def test_a_folder_appears_when_all_is_written(tmp_path):
    (tmp_path / "to.partial").mkdir()
    (tmp_path / "to.partial" / "old").touch()
    with new_folder(tmp_path / "to") as place:
        assert not (tmp_path / "to").exists()
        (place / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["to"]
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["new"]


def test_an_error_leaves_nothing(tmp_path):
    def broken():
        with new_folder(tmp_path / "a" / "to") as place:
            (place / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert list((tmp_path / "a").iterdir()) == []


def test_an_empty_folder_is_taken_and_a_full_one_is_not(tmp_path, monkeypatch):
    (tmp_path / "to").mkdir()
    monkeypatch.chdir(tmp_path / "to")
    with new_folder(tmp_path / "to") as place:
        (place / "new").touch()
    with pytest.raises(ArtefactError, match="expected a new or empty folder"), new_folder(tmp_path / "to"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(ArtefactError, match="expected a new or empty folder"), new_folder(tmp_path / "file"):
        pass

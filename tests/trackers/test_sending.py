"""Trackers by name; one that cannot be used costs a line, and the others are served."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from lpo_tts.comparison.results import plain
from lpo_tts.errors import ArtefactError, ComponentError, ConfigError
from lpo_tts.files import write_json
from lpo_tts.trackers.base import Place
from lpo_tts.trackers.names import check_trackers
from lpo_tts.trackers.sending import track, track_file, training
from lpo_tts.trackers.state import remember, remembered

SENT = []


@dataclass(frozen=True)
class Own:
    """A tracker of a user's own."""

    def load(self):
        """Nothing to import."""

    def send(self, rows, place):
        SENT.append(([row.system for row in rows], place))
        return "here"

    @contextmanager
    def training(self, place, system, step, logged):
        yield [(system, step, logged)]


@dataclass(frozen=True)
class Broken(Own):
    """One whose disk is full."""

    def send(self, rows, place):
        raise ComponentError("no space")


@pytest.fixture(autouse=True)
def _sent():
    SENT.clear()


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_is_one_line_that_names_the_extra(made, folder, monkeypatch, caplog, name):
    for module in ("tensorboard", "wandb", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, module, None)
    track(made, [name, f"{__name__}:Own"], folder, "mini")
    (line,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert line.startswith(f"{name}: the report is whole, but was not sent: the tracker {name} needs the package {name}: pip")
    assert "lpo-tts[trackers]" in line
    assert [(["base", "aligned"], Place(folder, "mini"))] == SENT, "the other one is served"


def test_a_tracker_that_fails_is_warned_of(made, folder, caplog):
    track(made, [f"{__name__}:Broken", f"{__name__}:Own"], folder, "mini", run_folder=folder.parent)
    assert "Broken: the report is whole, but was not sent: no space" in caplog.text
    assert [(["base", "aligned"], Place(folder.parent, "mini"))] == SENT


def test_a_report_that_lies_there_is_sent_as_it_was_made(made, folder):
    write_json(folder / "report.json", plain(made))
    track_file(folder / "report.json", [f"{__name__}:Own"], "mini", run_folder=folder.parent)
    assert [(["base", "aligned"], Place(folder.parent, "mini"))] == SENT
    track_file(folder / "none.json", [], "mini")


def test_no_names_do_nothing(folder):
    track(None, [], folder, "mini")
    assert not list(folder.iterdir())


def test_names_are_checked_before_anything_is_done():
    check_trackers(["tensorboard", "wandb"])
    with pytest.raises(ConfigError, match=r"trackers: no member named 'tensorbord'; did you mean tensorboard\?"):
        check_trackers(["tensorbord"])
    with pytest.raises(ConfigError, match="trackers: 'wandb' stands twice"):
        check_trackers(["wandb", "wandb"])


def test_callbacks_of_all_trackers_come_together(tmp_path):
    names = [f"{__name__}:Own", f"{__name__}:Broken"]
    with training(names, Place(tmp_path, "mini"), "aligned", 3, 5) as callbacks:
        assert callbacks == [("aligned", 3, 5)] * 2


def test_what_is_remembered_is_kept_by_tracker_and_system(tmp_path):
    path = tmp_path / "trackers.json"
    assert remembered(path, "wandb", "base") == {}
    remember(path, "wandb", "base", {"id": "a"})
    remember(path, "wandb", "aligned", {"id": "b"})
    remember(path, "wandb", "base", {"id": "c"})
    assert (remembered(path, "wandb", "base"), remembered(path, "wandb", "aligned")) == ({"id": "c"}, {"id": "b"})
    path.write_text('{"wandb": []}')
    with pytest.raises(ArtefactError, match="expected an object under 'wandb', found"):
        remembered(path, "wandb", "base")

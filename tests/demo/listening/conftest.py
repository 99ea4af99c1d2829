"""Eight short texts by two systems, a store whose clock stands still, and servers that are killed at the end."""

from dataclasses import replace

import pytest

from tests.browser import browser, look
from tests.demo.listening.simulated import Clock, Server, clips

__all__ = ["browser", "look"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Eight texts by two systems, a fifth of a second each, so that a test need not listen for long."""
    made = tmp_path_factory.mktemp("clips")
    clips(made, 8, 0.2)
    return made


@pytest.fixture(scope="session")
def items(folder):
    from demo.listening.items import folder_items

    return folder_items(folder / "list.jsonl", {name: folder / name for name in ("base", "aligned")})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    from demo.listening.store import Store

    with Store(tmp_path / "answers.sqlite", clock) as made:
        yield made


@pytest.fixture
def sittings(items, store):
    """One test of each mode on the eight texts, five trials each."""
    from demo.listening.design import default_designs
    from demo.listening.sittings import Sittings, Test

    designs = [replace(one, trials_per_listener=5, anchors=(3500,)) for one in default_designs() if one.source == "systems"]
    return Sittings([Test(design, items) for design in designs], store)


@pytest.fixture
def serve():
    """A function that starts a server; all are killed at the end."""
    started = []

    def start(folder, answers, *options):
        started.append(Server(folder, answers, *options))
        return started[-1]

    yield start
    for one in started:
        one.kill()

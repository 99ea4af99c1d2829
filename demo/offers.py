"""Which listening tests are offered: on a run folder, or on folders of audio."""

from collections.abc import Sequence
from pathlib import Path

from demo.listening.design import Design, default_designs, read_designs
from demo.listening.items import Item, candidate_items, folder_items, system_items
from demo.listening.modes import check_system
from demo.listening.sittings import Test
from demo.run_folder import RunSession
from lpo_tts.errors import ConfigError


def offered_by_run(session: RunSession, designs: Path | None = None) -> list[Test]:
    """The tests on a run: those of a file, or one of each mode; raises ConfigError where one of the file cannot be."""
    chosen = _designs(designs)
    sources = {design.source for design in chosen}
    spoken = system_items(session.run, session.prompts, session.systems) if "systems" in sources else []
    sampled = candidate_items(session.run, session.prompts, lambda: session.codec) if "candidates" in sources else []
    return [_test(design, sampled if design.source == "candidates" else spoken) for design in chosen]


def offered_by_folders(table: Path, systems: Sequence[str], designs: Path | None = None) -> list[Test]:
    """The tests on folders of audio.

    Args:
        table: list of ids and texts.
        systems: "NAME=FOLDER" each.
        designs: file of tests; None: one of each mode.

    Raises:
        ConfigError: a system is not written so, or a test is on candidates, which folders have none of.
        ArtefactError: list or folders cannot be read.
    """
    folders: dict[str, Path] = {}
    for one in systems:
        name, _, folder = one.partition("=")
        if not name or not folder or name in folders:
            raise ConfigError(f"--system: expected NAME=FOLDER, and each name once, found {one!r}")
        folders[name] = Path(folder)
    if not folders:
        raise ConfigError("--list: expected the audio of at least one system; give --system NAME=FOLDER")
    chosen = _designs(designs)
    if designs is not None and any(design.source != "systems" for design in chosen):
        raise ConfigError(f"{designs}: candidates are in run folders alone; give --run, or leave out source: candidates")
    items = folder_items(table, folders)
    return [_test(design, items) for design in chosen if design.source == "systems"]


def _test(design: Design, items: Sequence[Item]) -> Test:
    """Raises ConfigError where a test names a system that nothing was spoken by, or has one with a name that is taken."""
    there = dict.fromkeys(name for item in items for name in item.names)
    for name in design.systems or there if design.source == "systems" else ():
        check_system(f"the test {design.name}", name)
    unknown = [name for name in design.systems if name not in there]
    if unknown:
        raise ConfigError(f"{design.name}.systems: expected some of {', '.join(there) or 'none'}, found {', '.join(unknown)}")
    return Test(design, items)


def _designs(path: Path | None) -> list[Design]:
    return default_designs() if path is None else read_designs(path)

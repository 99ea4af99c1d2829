"""New folders that appear whole under their name, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lpo_tts.errors import ArtefactError, os_errors


def refuse_full(folder: Path) -> None:
    """Raises ArtefactError for a place that is no empty or new folder: nothing of anybody's is written over."""
    with os_errors("look into", folder):
        if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
            return
    raise ArtefactError(f"{folder}: expected a new or empty folder, found one that holds something; choose another, or remove it")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside it that gets its name when everything is written; what an interrupted call left is removed first."""
    folder = folder.absolute()
    refuse_full(folder)
    partial = folder.with_name(folder.name + ".partial")
    with os_errors("write", partial):
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
    try:
        yield partial
        with os_errors("write", folder):
            if folder.exists():
                folder.rmdir()  # it is empty
            partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise

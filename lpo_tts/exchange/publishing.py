"""What leaves this machine with a model: which files, and settings without paths, addresses and secrets."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lpo_tts.artefacts import write_json
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.files import loads, sync

# Files of a checkpoint that make the model; states of optimizers, random numbers and arguments are none of them.
KEPT = (".safetensors", ".json", ".txt", ".model", ".jinja")
LEFT_OUT = ("checkpoint.json", "trainer_state.json", "meter.json", "run.json", "all_results.json", "train_results.json")
SECRET = re.compile(
    r"^((hf|access|auth|api|bearer)_)?(token|key)$|api_?key|secret|password|passwd|^authorization$", re.IGNORECASE
)
USER = re.compile(r"(\w+://)[^/@\s]+@")  # user and password in an address


def model_files(folder: Path) -> list[Path]:
    """The files of a checkpoint that are published; raises ArtefactError where there are no weights in safetensors."""
    with os_errors("read", folder):
        found = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in KEPT and path.name not in LEFT_OUT)
    if not any(path.suffix == ".safetensors" for path in found):
        raise ArtefactError(f"{folder}: expected a model with weights in *.safetensors, found none; train it first")
    return found


def copy_model(folder: Path, to: Path, names: Mapping[str, str], *, link: bool = False) -> None:
    """Copies the files of a checkpoint; in its settings paths are scrubbed (see `scrubbed`).

    Args:
        folder: the checkpoint.
        to: where the files go.
        names: see `scrubbed`.
        link: whether large files may be links to the checkpoint's, for a folder that nobody will edit.
    """
    for path in model_files(folder):
        target = to / path.name
        if path.suffix == ".json" and "config" in path.name:
            text = path.read_text(encoding="utf-8")
            write_json(target, dict(scrubbed(loads(text, str(path)), names)))
            continue
        with os_errors("write", target):
            if not (link and _linked(path, target)):
                shutil.copyfile(path, target)
                sync(target)


def _linked(path: Path, target: Path) -> bool:
    """Whether a hard link could be made: not to another disk, and not on every file system."""
    try:
        os.link(path, target)
    except OSError:
        return False
    return True


def scrubbed(tree: Any, names: Mapping[str, str]) -> Any:
    """Settings without what is of this machine: absolute paths become their last name, secrets and passwords go.

    Args:
        tree: plain values.
        names: path -> what stands in its place, such as a hub id.
    """
    if isinstance(tree, Mapping):
        return {
            key: "removed" if isinstance(value, str) and SECRET.search(str(key)) else scrubbed(value, names)
            for key, value in tree.items()
        }
    if isinstance(tree, list | tuple):
        return [scrubbed(value, names) for value in tree]
    if not isinstance(tree, str):
        return tree
    if tree in names:
        return names[tree]
    return _without_machine(tree)


def _without_machine(text: str) -> str:
    if os.path.isabs(text) or text.startswith(("~", "../")) or text == "..":
        return Path(text).name or "removed"
    for place in {str(Path.home()), os.getcwd()} - {"/", "."}:
        text = re.sub(rf"{re.escape(place)}(?=[/\s\"':,]|$)", "...", text)
    return USER.sub(r"\1", text)


def leaks(folder: Path) -> Iterator[str]:
    """Files of a folder in whose text a path of this machine still stands: the home and the working folder."""
    for path in sorted(folder.iterdir()):
        if path.suffix in (".md", ".yaml") or (path.suffix == ".json" and path.stat().st_size < 1 << 20):
            text = path.read_text(encoding="utf-8")
            places = {str(Path.home()), os.getcwd()} - {"/"}
            found = [place for place in places if re.search(rf"{re.escape(place)}(?=[/\s\"',]|$)", text)]
            if found:
                yield f"{path.name}: {json.dumps(found[0])}"

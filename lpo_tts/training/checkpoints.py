"""Which checkpoint of a run folder is whole, and what it was made from: `checkpoint.json`, written last of all."""

import errno
import json
import logging
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from lpo_tts.artefacts import loads, sync, write_json
from lpo_tts.config import differences
from lpo_tts.errors import ArtefactError, os_error_text, os_errors

logger = logging.getLogger(__name__)

LIST_FILE = "checkpoint.json"
HASH = re.compile(r'"([0-9a-f]{12})[0-9a-f]{52}"')
BLOCK = 1 << 24  # bytes read at a time
SIGNS = ("os error", "I/O error", "PytorchStreamWriter", "inline_container", "iostream error")  # of a failed write
SHOWN = 5  # differences that a message names
# What depends on how a batch is shared among processes; another number of them may share it otherwise.
SHARES = ("per_device_train_batch_size", "gradient_accumulation_steps")


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: its folder, and what its run was made from (`training.identity`)."""

    path: Path
    made_of: Mapping[str, Any]

    @classmethod
    def listed(cls, path: Path) -> "Checkpoint":
        """Reads the list alone, of a checkpoint that is known to be whole."""
        return cls(path, _read_list(path)["made_of"])

    @classmethod
    def open(cls, path: Path, *, to_resume: bool = True) -> "Checkpoint":
        """Reads every file once and compares it with the list.

        The sums are CRC-32: they find what was torn, not what was forged. Measured on two busy cores they take 0.6 to 2 s
        per GB of files, once when the checkpoint is written and once when it is resumed.

        Raises:
            ArtefactError: there is no such folder, no list, or a file is missing, torn or unreadable; it is named.
        """
        if not path.is_dir():
            raise ArtefactError(f"{path}: no such checkpoint; check the path, or train without resuming")
        content = _read_list(path)
        for name, (size, checksum) in content["files"].items():
            file = path / name
            if not file.is_file():
                raise ArtefactError(f"{file}: missing, though the checkpoint's list names it; use another checkpoint")
            with os_errors("read", file):
                found = file.stat().st_size
                if found == size and _checksum(file) == checksum:
                    continue
            what = f"expected {size} bytes, found {found}" if found != size else "its contents are not what was written"
            raise ArtefactError(f"{file}: torn ({what}); use another checkpoint")
        if to_resume and not content["resumable"]:
            raise ArtefactError(f"{path}: holds the model alone (save_only_model), so training cannot be resumed from it")
        return cls(path, content["made_of"])

    def refuse_other_run(self, made_of: Mapping[str, Any]) -> None:
        """Raises ArtefactError, naming the settings, unless the run about to start is the one that was interrupted.

        Another number of processes is allowed with a warning, as long as the whole batch stays the same.
        """
        old, new = _copy(self.made_of), _copy(made_of)
        if old.get("processes") != new.get("processes"):
            logger.warning(
                "%s was written by %s processes and is resumed by %s: results agree up to rounding, not to the last bit",
                self.path,
                old.pop("processes", None),
                new.pop("processes", None),
            )
            for tree in (old, new):
                for name in SHARES:
                    tree.get("settings", {}).pop(name, None)
        else:  # then the whole batch follows from its shares
            for tree in (old, new):
                tree.pop("batch_size", None)
        changed = differences(old, new)
        if changed:
            more = f"; and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            raise ArtefactError(
                f"{self.path.parent} holds checkpoints of another run ({'; '.join(changed[:SHOWN])}{more}); put these back, "
                "remove the folder, or choose another output folder"
            )


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    """As it reads in a file, lists for tuples and text for keys; of hashes the beginning."""
    return json.loads(HASH.sub(r'"\1"', json.dumps(tree)))


def _read_list(path: Path) -> dict[str, Any]:
    file = path / LIST_FILE
    if not file.exists():
        raise ArtefactError(
            f"{file}: missing, so {path.name} was interrupted while it was written, or is of another program; use another "
            "checkpoint"
        )
    try:
        with os_errors("read", file):
            content = loads(file.read_text(encoding="utf-8"), str(file))
        files = {str(name): (int(size), int(checksum)) for name, (size, checksum) in content["files"].items()}
        return {"files": files, "made_of": dict(content["made_of"]), "resumable": bool(content["resumable"])}
    except (UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactError(f"{file}: torn (not a list of files); use another checkpoint") from error


def drop_list(path: Path) -> None:
    """Makes a checkpoint that is about to be written over count as torn until it is whole again."""
    (path / LIST_FILE).unlink(missing_ok=True)


def write_list(path: Path, made_of: Mapping[str, Any], *, resumable: bool = True) -> None:
    """Lists what is in a checkpoint's folder, after everything has reached the disk: from here on it is whole.

    Args:
        path: the folder; FSDP and DeepSpeed keep folders within it.
        made_of: what the run was made from.
        resumable: whether it holds more than the model.
    """
    files = {}
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        if file.name.endswith(".partial") or file == path / LIST_FILE:
            continue
        sync(file)
        files[file.relative_to(path).as_posix()] = [file.stat().st_size, _checksum(file)]
    write_json(path / LIST_FILE, {"resumable": resumable, "files": files, "made_of": dict(made_of)})


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            value = zlib.crc32(block, value)
    return value


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of a run; a warning names what is wrong with each newer one."""
    for path in sorted(_numbered(folder), key=_number, reverse=True):
        try:
            Checkpoint.open(path)
        except ArtefactError as error:
            logger.warning("%s is passed over for an older checkpoint: %s", path.name, error)
            continue
        return str(path)
    return None


def _numbered(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]


def _number(path: Path) -> int:
    return int(path.name.removeprefix("checkpoint-"))


def remove_old(newest: Path, limit: int | None, best: str | None) -> None:
    """Removes checkpoints beside the newest until `limit` are left; the newest and the best one stay.

    First go those of later steps, which an earlier life of the run left behind, then the oldest.
    """
    if limit is None or limit < 1:
        return
    kept = {newest.resolve()} | ({Path(best).resolve()} if best is not None else set())
    others = [path for path in _numbered(newest.parent) if path.resolve() not in kept]
    others.sort(key=lambda path: (_number(path) < _number(newest), _number(path)))
    for path in others[: max(0, len(others) + len(kept) - max(limit, len(kept)))]:
        drop_list(path)
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def saving(folder: Path) -> Iterator[None]:
    """What goes wrong on the disk within becomes one line; bars of `save_pretrained` are kept off the terminal.

    Raises:
        ArtefactError: the disk is full or the folder cannot be written.
    """
    bars = transformers_logging.is_progress_bar_enabled()
    if bars:
        transformers_logging.disable_progress_bar()
    try:
        with os_errors("write", folder):
            yield
    except (SafetensorError, RuntimeError) as error:  # their writers hide the error of the operating system
        if not any(sign in str(error) for sign in SIGNS):
            raise
        raise ArtefactError(_hidden(folder, error)) from error
    finally:
        if bars:
            transformers_logging.enable_progress_bar()


def _hidden(folder: Path, error: Exception) -> str:
    """The line for an error whose number is lost; a full disk is recognised by its free space."""
    full = "No space left" in str(error)
    with suppress(OSError):
        full = full or shutil.disk_usage(folder).free < 1 << 20
    if full:
        return os_error_text("write", folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    return f"cannot write {folder}: {str(error).splitlines()[0]}; check the disk, then run again"


def make_readable(folder: Path) -> None:
    """Gives safetensors files, which their library keeps to their owner, the permissions of any new file."""
    umask = os.umask(0o077)
    os.umask(umask)
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o666 & ~umask)

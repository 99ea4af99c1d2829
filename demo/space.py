"""Puts the library, the demo and one run into a folder that is a Space of Hugging Face, or of any other host of containers."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: the repository's root takes the place of its folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from demo.run_folder import RunSession, open_run
from lpo_tts import audio
from lpo_tts.errors import ArtefactError, exit_code, os_errors
from lpo_tts.files import read_lines, write_atomic

ROOT = Path(__file__).resolve().parents[1]
TOP = ("pyproject.toml", "setup.py", "constraints.txt", "LICENSE")
CODE = ("lpo_tts", "demo", "evaluation", "recipes")
HERE = ("README.md", "Dockerfile")  # of this folder, for the top of the Space
NO_CODE = ("__pycache__", "*.pyc", ".*")
# Answers have names of people in them; states of the training and logs are of no use where nothing is trained.
NOT_OF_THE_RUN = ("listening.sqlite*", "*votes.jsonl*", "checkpoint-*", "wandb", "tensorboard", "*.partial", "*.lock", ".*")
RECORDINGS = "recordings"  # folder in the copy of the run
MOST = 2000  # ours: recordings that are brought along, but for those of held-out prompts, which all are


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    parser = argparse.ArgumentParser(prog="demo/space.py", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the Space is put; must not be there")
    parser.add_argument("--run", type=Path, required=True, help="run folder, e.g. build/mini")
    parser.add_argument("--recipe", help="name of the recipe, where several were run into the folder")
    options = parser.parse_args(arguments)
    return exit_code("demo/space.py", lambda: print(assemble(options.folder, open_run(options.run, options.recipe))))


def assemble(folder: Path, session: RunSession) -> str:
    """Makes the folder; returns a line on what is in it.

    Raises:
        ArtefactError: the folder is there, a model lies where a Space cannot reach it, or something cannot be copied.
    """
    if folder.exists():
        raise ArtefactError(f"{folder}: expected no folder of this name, found one; remove it, or give another name")
    out = session.run.out
    if folder.resolve().is_relative_to(out.resolve()):
        raise ArtefactError(f"{folder}: expected a folder outside the run, found one in {out}; give another one")
    recipe = out / f"recipe.{session.recipe.name}.json"
    _check_models(recipe)
    with os_errors("write", folder):
        folder.mkdir(parents=True)
        for name in TOP:
            shutil.copy(ROOT / name, folder)
        for name in HERE:
            shutil.copy(ROOT / "demo" / name, folder)
        for name in CODE:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*NO_CODE))
        shutil.copytree(out, folder / "run", ignore=shutil.ignore_patterns(*NOT_OF_THE_RUN))
    for other in (folder / "run").glob("recipe.*.json"):
        if other.name != recipe.name:
            other.unlink()
    brought, left = _bring(out, folder / "run")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    more = f"; {brought} recordings of other folders came along" if brought else ""
    less = f"; {left} recordings of training prompts were left behind" if left else ""
    return f"{folder}: {size / 1e6:.0f} MB, ready to be pushed or built{more}{less}"


def _check_models(recipe: Path) -> None:
    """Raises ArtefactError for a model at an absolute path; those of the repository come along, those of the hub are fetched."""
    tree = json.loads(recipe.read_text(encoding="utf-8"))
    for key in ("prompts", "out"):  # what was read when the run was made
        tree.pop(key, None)
    for where, value in _texts(tree, ""):
        if Path(value).is_absolute() and Path(value).exists():
            raise ArtefactError(
                f"{recipe}: {where} is {value}, which a Space cannot reach; run the recipe with a hub id or a folder of recipes/"
            )


def _texts(tree: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, str):
        yield where, tree
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in children:
        yield from _texts(value, f"{where}.{key}" if where else str(key))


def _bring(out: Path, copy: Path) -> tuple[int, int]:
    """Recordings that lie outside the run are copied into it, those of held-out prompts first.

    Returns:
        How many; and how many places of training prompts are empty now, since there were more than MOST.
    """
    table = copy / "prompts.jsonl"
    if not table.exists():
        return 0, 0
    rows = [json.loads(line) for line in read_lines(table)]
    known: dict[str, str] = {}
    left = 0
    for row in sorted(rows, key=lambda row: row.get("split") == "train"):
        for key in ("voice", "target"):
            found = row.get(key)
            if not found or not _away(found["audio"]):
                continue
            path = found["audio"]
            if path not in known and row.get("split") == "train" and len(known) >= MOST:
                row[key], left = None, left + 1
                continue
            if path not in known:
                known[path] = f"{RECORDINGS}/{len(known):06d}.wav"
                audio.write(copy / known[path], *audio.read(out / path))
            found["audio"] = known[path]
    if known or left:
        write_atomic(table, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode())
    return len(known), left


def _away(path: str) -> bool:
    """A path leads out of the folder that it is relative to."""
    return Path(path).is_absolute() or ".." in Path(path).parts


if __name__ == "__main__":
    sys.exit(main())

"""What `lpo-tts init` writes: a copy of a recipe with paths of the user's own, and the files that it names."""

import json
import re
from pathlib import Path

from lpo_tts import starters
from lpo_tts.config import check_name
from lpo_tts.errors import ConfigError, os_errors

SERVERS = re.compile(r"recipes/(codec_servers/[\w-]+\.py)")  # programs that a recipe starts by their path
EXTENDS = re.compile(r"^extends:\s*([^#\n]+?)\s*(#.*)?$", re.MULTILINE)
SIBLING = re.compile(r"^\s*(?:from|import)\s+(\w+)", re.MULTILINE)
MARK = "# CHANGE: "
ROW = '{"id": "r1", "audio": "wavs/r1.wav", "text": "What is said.", "duration": 3.2, "speaker": "me", "split": "train"}'


def write(name: str, folder: str | Path) -> list[str]:
    """Writes `recipe.yaml` and what it needs into a folder, which is made where it is not there.

    Args:
        name: of a recipe; see `starters.find`.
        folder: where to; paths in the recipe are written as seen from the working folder.

    Returns:
        lines for a terminal: what was written, and which commands come next.

    Raises:
        ConfigError: there is no such recipe, the folder has no name, or a file that would be written exists already.
        ArtefactError: the folder cannot be written to.
    """
    if not str(folder):
        raise ConfigError("init: expected a folder to write into, found an empty name; write . for the working folder")
    source, target = starters.find(name), Path(folder)
    files = _files(source, target)
    there = [str(path) for path in files if path.exists()]
    if there:
        raise ConfigError(f"{there[0]} exists already and is left as it is; choose another folder, or remove the file")
    for path, text in files.items():
        with os_errors("write the recipe into", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    recipe, manifest = (target / "recipe.yaml").as_posix(), (target / "manifest.jsonl").as_posix()
    return [
        *(f"wrote {path.as_posix()}" for path in files),
        "next, from this folder:",
        f"  1. read the lines marked {MARK.strip()} in {_word(recipe)}",
        f"  2. write {_word(manifest)}: one line for each recording, its path relative to the manifest:",
        f"       {ROW}",
        "     some lines need split test, and every speaker two recordings, where prompts have a voice",
        "     from a checkout, a folder of recordings with transcripts becomes one by:",
        f"       python -m data_prep.folder RECORDINGS --out {_word(manifest)}",
        f"  3. lpo-tts check {_word(recipe)} --offline   # what it would download, and what it expects",
        f"  4. lpo-tts check {_word(recipe)}             # downloads the parts and loads each of them once",
        f"  5. lpo-tts run {_word(recipe)}",
    ]


def _word(text: str) -> str:
    """As a shell takes it for one word."""
    return text if re.fullmatch(r"[\w./~+-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def _files(source: Path, target: Path) -> dict[Path, str]:
    """Path -> text of everything that is to be written: the recipe, recipes it extends, and programs they start."""
    text = source.read_text(encoding="utf-8")
    texts, parent = {target / "recipe.yaml": _recipe(text, source.stem, target)}, EXTENDS.search(text)
    while parent is not None:
        path = source.parent / parent[1].strip("\"'")
        text = path.read_text(encoding="utf-8")
        texts[target / path.name] = text
        parent = EXTENDS.search(text)
    named = sorted({name for one in texts.values() for name in SERVERS.findall(one)})
    programs = {path for relative in named for path in _with_siblings(source.parent / relative)}
    there = {path.name for path in programs}

    def moved(match: "re.Match[str]") -> str:
        """A program that the recipes do not have is one of the user's own, and stays where it is named."""
        return (target / match[1]).as_posix() if Path(match[1]).name in there else match[0]

    found = {path: SERVERS.sub(moved, one) for path, one in texts.items()}
    return found | {target / "codec_servers" / path.name: path.read_text(encoding="utf-8") for path in sorted(programs)}


def _with_siblings(program: Path) -> list[Path]:
    """A program that is there, and the modules beside it that it imports."""
    found: list[Path] = []
    todo = [program]
    while todo:
        one = todo.pop()
        if one not in found and one.is_file():
            found.append(one)
            todo += [one.with_name(f"{name}.py") for name in SIBLING.findall(one.read_text(encoding="utf-8"))]
    return found


def _recipe(text: str, name: str, target: Path) -> str:
    """The text of a recipe with name, run folder and manifest of the user's own, each marked as a line to change."""
    own = re.sub(r"[^A-Za-z0-9_-]+", "-", target.resolve().name).strip("-")[:100] or "mine"
    check_name("name", own)
    text = _set(text, "name", own, "what this experiment is called")
    text = _set(text, "out", (target / "run").as_posix(), "everything is written into this folder; it needs room for audio")
    text = _set_manifest(text, (target / "manifest.jsonl").as_posix())
    text = re.sub(r"^(  model: [^#\n]*[^#\s])[^\S\n]*(#.*)?$", _model_line, text, count=1, flags=re.MULTILINE)
    return f"{_head(name)}\n{text}"


def _model_line(match: "re.Match[str]") -> str:
    return f"{match[1]} {MARK}a folder, or this hub id with `revision: <commit>` below it"


def _head(name: str) -> str:
    about = starters.read(name).about
    return "\n".join(
        [
            f"# A recipe of your own, made from {name} by `lpo-tts init`.",
            *([f"# Licence of the model: {about['licence']}; check that it allows what you do."] if about.get("licence") else []),
            f"# Change first the lines marked {MARK.strip()} name, out, the model, and the manifest of your recordings.",
            "# Then look at prompts (how many), sample.num_candidates, train.batch_size and train.token_budget (GPU memory),",
            "# and at the section `about`, which tells what this recipe needs. Paths start from the working folder, so give",
            "# the commands from the folder where you gave `lpo-tts init`. `lpo-tts keys SECTION` explains every key.",
            "#",
        ]
    )


def _set(text: str, key: str, value: str, why: str) -> str:
    """Sets a key outside of sections, or adds it before the first one."""
    line = f"{key}: {json.dumps(value, ensure_ascii=False)} {MARK}{why}"
    changed, count = re.subn(rf"^{key}:.*$", lambda _: line, text, count=1, flags=re.MULTILINE)
    if count:
        return changed
    return re.sub(r"^(?=[a-z_]+:)", lambda _: f"{line}\n", text, count=1, flags=re.MULTILINE)


def _set_manifest(text: str, path: str) -> str:
    """Sets prompts.manifest, or adds it where the recipe takes its prompts from one that it extends."""
    value, why = json.dumps(path, ensure_ascii=False), f"{MARK}a line for each of your recordings"
    line = f"manifest: {value} {why}"
    inline = re.search(r"^prompts:[^\S\n]*\{(?:[^\S\n]*manifest:[^,}]*,?[^\S\n]*)?([^#\n]*\})[^\S\n]*(#.*)?$", text, re.MULTILINE)
    if inline is not None:
        rest = inline[1] if inline[1] == "}" else f", {inline[1]}"
        return f"{text[: inline.start()]}prompts: {{manifest: {value}{rest} {why}{text[inline.end() :]}"
    section = re.search(r"^prompts:[^\S\n]*(#.*)?\n((?:[^\S\n]+.*\n|[^\S\n]*\n|#.*\n)*)", text, re.MULTILINE)
    if section is not None:
        body, count = re.subn(r"^([^\S\n]+)manifest:.*$", lambda match: match[1] + line, section[0], count=1, flags=re.MULTILINE)
        if not count:
            body = re.sub(r"\n", lambda _: f"\n  {line}\n", body, count=1)
        return text[: section.start()] + body + text[section.end() :]
    return f"{text.rstrip()}\n\nprompts:\n  {line}\n"

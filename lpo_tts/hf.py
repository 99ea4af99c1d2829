"""Checkpoints by folder or hub id: what a source names, and one line for what goes wrong; sets torchaudio right."""

import importlib.util
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lpo_tts.errors import ComponentError, ConfigError, exit_code, os_errors

Dtype: TypeAlias = Literal["float32", "bfloat16", "float16"]

NO_TENSORS = (
    "a file of weights is torn, or holds more than tensors and may run code when it is read; fetch it again, or convert it to "
    "safetensors where you trust who made it"
)

LONGEST = 500  # characters of an error's text

_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][\w.+/-]*")


def is_local(source: str) -> bool:
    """Whether a source is a folder (or file) of this machine; a folder goes before a hub id of the same name."""
    return os.path.exists(source)


def hub_id(source: str) -> str | None:
    """The id under which the Hugging Face hub is asked for a source, or None for a folder.

    Raises:
        ComponentError: there is no such folder, and what is written can only mean a folder: it starts with `/`, `./`,
            `../` or `~`, ends with a slash, has more than one, or holds what no id does.
    """
    if is_local(source):
        return None
    if not _HUB_ID.fullmatch(source) or ".." in source or "--" in source or source.endswith((".", "-", ".git")):
        raise ComponentError(_no_folder(source))
    return source


def may_be_hub_id(source: str) -> bool:
    """Whether a hub is asked for a source: no folder, and nothing that can only mean one."""
    try:
        return hub_id(source) is not None
    except ComponentError:
        return False


def folder(source: str) -> Path:
    """The folder of a part that no hub has; raises ComponentError when there is none."""
    if not os.path.isdir(source):
        raise ComponentError(_no_folder(source))
    return Path(source)


def _no_folder(source: str) -> str:
    start = "" if os.path.isabs(source) else f"relative paths start from the working folder, which is {os.getcwd()}; "
    return f"no such folder: {source!r}; {start}check the path"


def check_revision(revision: str | None) -> None:
    """Raises ConfigError for what is no branch, tag or commit of a hub repository; None passes."""
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ConfigError(f"revision: expected a commit, tag or branch of the hub repository, found {revision!r}")


def check_loading(attention: str | None, revision: str | None) -> None:
    """Raises ConfigError for an attention or revision that a model cannot be loaded with."""
    if attention is not None and not attention.replace("_", "").isalnum():  # owner/name is code on the hub
        raise ConfigError(f"attention: expected eager, sdpa or another of transformers' own, found {attention!r}")
    check_revision(revision)


def location(source: str, revision: str | None = None) -> dict[str, str]:
    """What every `from_pretrained` is told beside the source: nothing for a folder, the revision for a hub id.

    Raises:
        ComponentError: there is no such folder (see `hub_id`), it is a file, or a revision stands beside a folder.
    """
    if hub_id(source) is not None:
        return {} if revision is None else {"revision": revision}
    if not os.path.isdir(source):
        raise ComponentError(f"{source}: expected a folder with a checkpoint, found a file; name the folder it lies in")
    if revision is not None:
        raise ComponentError(
            f"{source} is a folder, which has no revision {revision!r}; remove `revision`, or name the hub id it belongs to"
        )
    return {}


def refuse_adapter(source: str) -> None:
    """Raises ComponentError for a folder that holds a LoRA, beside a model or alone: transformers would lay it over unasked."""
    place = Path(source)
    if not os.path.isfile(place / "adapter_config.json"):
        return
    if os.path.exists(place / "config.json"):
        raise ComponentError(
            f"{source}: expected a model alone, found a LoRA adapter (adapter_config.json) beside it; move the adapter's files "
            f"to a folder of their own, and write `adapter: FOLDER` if it is to be merged"
        )
    try:
        base = json.loads((place / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    raise ComponentError(
        f"{source}: expected a whole model, found a LoRA adapter{f' of {base}' if base else ''}; write "
        f"`model: {base or 'the model it was trained on'}` and `adapter: {source}`, which merges it when the model is loaded"
    )


def refuse_adapted(model: Any, source: str) -> None:
    """Raises ComponentError for a loaded model over which transformers laid the LoRA of a hub repository."""
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ComponentError(
            f"{source}: expected a whole model, found a repository with a LoRA adapter; write its base as `model`, fetch the "
            f"adapter by `hf download {source} --local-dir FOLDER`, and write `adapter: FOLDER`"
        )


@contextmanager
def loading(source: str, expected: str, revision: str | None = None) -> Iterator[dict[str, str]]:
    """Turns whatever transformers and the hub say of a checkpoint into ComponentError of one line.

    Args:
        source: folder or hub id.
        expected: what it should be ("a Whisper checkpoint").
        revision: of a hub id.

    Yields:
        the keyword arguments of `location`.
    """
    place = location(source, revision)
    try:
        yield place
    except ComponentError:
        raise
    except _faults() as error:
        text = first_line(error)
        if "_torchaudio" in str(error):
            raise ComponentError(f"cannot load {text}: {TORCHAUDIO}") from error
        at = f"{source} (revision {revision})" if revision else source
        raise ComponentError(f"{at}: expected {expected}, cannot load it: {text.rstrip('.')}{_advice(source)}") from error


def _faults() -> tuple[type[Exception], ...]:
    """What loading raises for a checkpoint that is absent, torn or of another kind, and for a hub out of reach."""
    import safetensors
    from huggingface_hub import errors as hub

    return (
        *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, ImportError, EOFError),
        *(pickle.UnpicklingError, safetensors.SafetensorError, hub.HTTPError, hub.StrictDataclassError),
        *(hub.EntryNotFoundError, hub.CorruptedCacheException, hub.RevisionResolutionError),
    )


def _advice(source: str) -> str:
    if is_local(source):
        return ""
    if is_offline():
        return "; HF_HUB_OFFLINE keeps the hub out of reach: unset it, fetch the checkpoint before, or name a folder"
    return "; there is no folder of this name either: check the id, the network and your access rights, or name a folder"


def is_offline() -> bool:
    """Whether the hub was switched off by its environment variables."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def is_cached(source: str, revision: str | None = None) -> bool:
    """Whether the cache of this machine holds files of a hub repository at a revision; None stands for its main branch.

    It looks at no file: a download that was interrupted counts, and loading says what is missing of it.
    """
    return cached(source, revision) is not None


def cached(source: str, revision: str | None = None) -> Path | None:
    """The folder in which the cache of this machine holds a hub repository at a revision; None where it holds no file of it."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=source, repo_type="model")
    try:
        commit = (folder / "refs" / (revision or "main")).read_text(encoding="utf-8").strip()
    except OSError:
        commit = revision or ""
    snapshot = folder / "snapshots" / commit
    return snapshot if commit and snapshot.is_dir() and any(snapshot.iterdir()) else None


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its class where it says nothing; torch's pages on pickles are put in one line."""
    if isinstance(error, pickle.UnpicklingError):
        return NO_TENSORS
    return (str(error).strip() or type(error).__name__).splitlines()[0].strip()


def one_line(error: BaseException) -> str:
    """All of an error's text in one line, cut where it is long; as `first_line` otherwise."""
    if isinstance(error, pickle.UnpicklingError):
        return NO_TENSORS
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__


TORCHAUDIO = (
    "the torchaudio here is built for CUDA, and torch is not; run `python -m lpo_tts.hf`, "
    "which puts torchaudio's compiled part aside, or uninstall torchaudio"
)


def mend_torchaudio() -> list[Path]:
    """Puts torchaudio's compiled part aside where it cannot be loaded, and returns the files that were renamed.

    torchaudio's wheel on PyPI is a CUDA build. Beside a CPU build of torch its extension cannot be loaded, and
    `import transformers` fails with it. Without the file torchaudio takes its own way for "no extension here":
    resampling, spectrograms and filter banks are Python and stay as they are.
    """
    found = importlib.util.find_spec("torchaudio")
    if found is None or found.origin is None or _torchaudio_imports():
        return []
    return put_aside(Path(found.origin).parent / "lib")


def put_aside(folder: Path) -> list[Path]:
    """Renames `_torchaudio*.so` (or `.pyd`) in a folder to `<name>.aside`; returns the new paths."""
    renamed = []
    for path in sorted(folder.glob("_torchaudio*")):
        if path.suffix in (".so", ".pyd"):
            aside = path.with_name(path.name + ".aside")
            with os_errors("rename", path):
                os.replace(path, aside)
            renamed.append(aside)
    return renamed


def _torchaudio_imports() -> bool:
    """False only when the compiled part is at fault; tried in a process of its own, which leaves nothing half imported."""
    tried = subprocess.run([sys.executable, "-c", "import torchaudio"], capture_output=True, text=True, check=False)
    return tried.returncode == 0 or "_torchaudio" not in tried.stderr.strip().splitlines()[-1]


def main() -> int:
    """`python -m lpo_tts.hf`: run by the Makefile after the installation."""
    for path in mend_torchaudio():
        sys.stderr.write(f"lpo-tts: torchaudio is built for CUDA and torch is not; its compiled part is aside: {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code("lpo_tts.hf", main))

"""Identity of components: settings in which files stand for themselves, by their contents and not by their place."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lpo_tts.files import content_hash
from lpo_tts.text import NORMALISER_VERSIONS, describe

# Settings that name a file or folder even without a separator in them; a hub id of the same form is no local path.
SOURCES = ("model", "source", "checkpoint", "weights", "grammar", "path", "folder", "file")
LOCAL = ("adapter", "voice")  # the same, of what no hub has: a `revision` beside them is that of something else

# Settings that only say how long and how often a part is asked, or how much memory it may take: a run goes on with others.
NEUTRAL = ("timeout", "start_timeout", "gpu_memory_utilization", "retries", "retry_wait", "parallel_requests", "token_env")

# Settings that came later, by member: with this value a part makes what it made before, so that older tables stay valid.
LATER: dict[str, dict[str, Any]] = {
    "similarity": {"to": "original", "resampler": "soxr"},
    "wer": {"resampler": "soxr"},
    "cer": {"resampler": "soxr"},
    "whisper": {"cut": False, "hear_silence": False, "dtype": "auto"},
    "paraformer": {"convert": None},
}


def fingerprint(tree: Any, key: str = "") -> Any:
    """Plain settings with every local file or folder replaced by the hash of its contents, and normalisers with their version.

    So weights that are changed in place are noticed, and a folder that was moved is the same. Settings that do not change what
    a part makes (`NEUTRAL`, and `LATER` at its old value) are left out. A hub id stays as it is, with its `revision`; beside a
    local folder a revision means nothing and is left out.

    Args:
        tree: plain values, as `Structurer.unstructure` gives them.
        key: name of the setting.
    """
    if isinstance(tree, Mapping):
        later = LATER.get(str(tree.get("name")), {})
        named = {name: value for name, value in tree.items() if name not in NEUTRAL and later.get(name, ...) != value}
        found = {name: fingerprint(value, name) for name, value in named.items()}
        local = any(name in SOURCES and value != named[name] for name, value in found.items())
        return {name: value for name, value in found.items() if not (local and name == "revision")}
    if isinstance(tree, list | tuple):
        return [fingerprint(item, key) for item in tree]
    if key == "normaliser" and tree in NORMALISER_VERSIONS:
        return describe(str(tree))  # a rule of this project: known by its version
    if isinstance(tree, str):
        named = key in (*SOURCES, *LOCAL) or os.sep in tree or (key == "command" and os.path.isfile(tree))
        if named and os.path.exists(tree):
            return f"sha256:{content_hash(Path(tree))}"
    return tree

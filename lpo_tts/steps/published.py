"""What the card of an aligned model tells of its run: who ranked the pairs, its languages, and code that speaks with it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpo_tts import artefacts
from lpo_tts.backbones.templates import takes_voice
from lpo_tts.exchange.publishing import scrubbed
from lpo_tts.metrics.base import Metric
from lpo_tts.records import Prompt
from lpo_tts.steps.run import Run

if TYPE_CHECKING:
    from lpo_tts.recipe import System

TEXT, VOICE_TEXT = "Every word is spoken, in the right voice.", "What is said in voice.wav."


def local_folder(to: str) -> Path | None:
    """The folder that `--to` names; None for a repository on the Hub.

    A folder is what has no `/`, or begins with `/`, `./`, `../` or `~`, or exists; or `file:PATH`.
    """
    if to.startswith("file:"):
        return Path(to.removeprefix("file:").removeprefix("//"))
    if to.startswith(("/", "./", "../", "~")) or os.path.exists(to) or os.sep not in to:
        return Path(to).expanduser()
    return None


def languages(run: Run) -> list[str]:
    """Codes of the languages of the prompts; none where there is no table of them."""
    if not run.prompts_path.exists():
        return []
    return sorted({row.language for row in artefacts.iterate_rows(run.prompts_path, Prompt)})


def ranking(run: Run, system: "System") -> list[str]:
    """The metrics and comparisons that the pair rules read, with the models that they listen with."""
    found = []
    for name in sorted(system.pair.metrics):
        plain = run.plain(run.recipe.score.metrics[name], Metric)
        within = [value for value in plain.values() if isinstance(value, dict)]
        by = ", ".join(" ".join(str(scrubbed(one[key], {})) for key in ("name", "model") if one.get(key)) for one in within)
        found.append(f"`{name}`: {plain['name']}" + (f" by {by}" if within else ""))
    return found + [f"comparisons: {scrubbed(str(source), {})}" for source in system.pair.sources]


def speak(run: Run, name: str, adapters: bool, local: list[str]) -> str:
    """Python that speaks with the published model."""
    recipe = run.recipe
    words = recipe.backbone.token_map().words()
    text, voice_text = (" ".join(words[:3]), " ".join(words[:2])) if words else (TEXT, VOICE_TEXT)
    overrides = ['f"backbone.adapter={folder}"'] if adapters else ['f"backbone.model={folder}"']
    if not adapters:
        overrides += [
            f'"backbone.{key}=null"' for key in ("revision", "adapter") if getattr(recipe.backbone, key, None) is not None
        ]
    overrides += [
        f'"{key}=..."' for key in local if key.startswith(("codec.", "backbone.")) and (adapters or key != "backbone.model")
    ]
    hub = local_folder(name) is None
    said = f'"{text}", "voice.wav", voice_text="{voice_text}"' if _hears(run) else f'"{text}"'
    lines = [
        "import soundfile",
        *(["from huggingface_hub import snapshot_download"] if hub else []),
        "from lpo_tts import Synthesizer",
        "",
        f'folder = snapshot_download("{name}")' if hub else f'folder = "{name}"  # where this folder lies',
        f'synthesizer = Synthesizer.from_recipe(f"{{folder}}/recipe.yaml", [{", ".join(overrides)}], device="auto")',
        f"audio, sample_rate = synthesizer.say({said})",
        'soundfile.write("spoken.wav", audio.numpy(), sample_rate)',
    ]
    return "\n".join(lines)


def _hears(run: Run) -> bool:
    return takes_voice(run.recipe.backbone) and run.recipe.prompts.voice != "none"


def changed(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Settings that differ, by their keys with dots."""
    if isinstance(old, Mapping):
        for key, value in old.items():
            yield from changed(value, new[key], f"{where}.{key}" if where else str(key))
    elif isinstance(old, list | tuple):
        if any(list(changed(one, other)) or one != other for one, other in zip(old, new, strict=True)):
            yield where
    elif old != new:
        yield where

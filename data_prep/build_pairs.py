"""Manifest to preference pairs in one program: `lpo-tts run RECIPE --until pair` on a manifest and folder of your own."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from lpo_tts import artefacts, pipeline, recipe
from lpo_tts.errors import ConfigError, exit_code, unusable
from lpo_tts.steps import STEPS


def build(recipe_path: Path, manifest: Path, out: Path, overrides: Sequence[str] = (), redo: str | None = None) -> list[Path]:
    """Runs prompts, sample, score and pair, skipping what is up to date; returns the pair tables, one per system.

    Args:
        recipe_path: names the model, the codec, what scores the candidates and the pair rules.
        manifest: table of recordings, as the corpus programs write it.
        out: run folder.
        overrides: `section.key=value`, laid over the recipe.
        redo: step to make again, with those after it.

    Raises:
        LpoTtsError: as the steps do.
    """
    for path in (manifest, out):
        if unusable(path):
            raise ConfigError(f"expected a path of UTF-8 text, found {str(path)!a}: a recipe cannot hold it; rename it")
    places = [f"{key}={json.dumps(str(path))}" for key, path in (("prompts.manifest", manifest), ("out", out))]
    loaded = recipe.load(recipe_path, [*overrides, *places])
    pipeline.run(loaded, until="pair", redo=redo)
    return [loaded.folder(system) / "pairs.jsonl" for system in loaded.systems]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: prints the pair tables; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path, help="manifest.jsonl of a corpus program")
    parser.add_argument("--recipe", type=Path, required=True, help="recipe with model, codec, scores and pair rules")
    parser.add_argument("--out", type=Path, required=True, help="run folder; candidates, scores and pairs are kept here")
    parser.add_argument("--redo", choices=STEPS[: STEPS.index("pair") + 1], help="make this step and those after it again")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. sample.num_candidates=16")
    options = parser.parse_intermixed_args(arguments)  # overrides may stand behind options
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("lpo_tts").setLevel(logging.INFO)

    def work() -> None:
        for path in build(options.recipe, options.manifest, options.out, options.overrides, options.redo):
            counts = artefacts.read_json(path.with_name(f"{path.name}.meta.json"))["counts"]
            print(f"{path}: {counts['rows']} pairs ({counts['train']} train, {counts['dev']} dev)")

    return exit_code("build_pairs", work)


if __name__ == "__main__":
    sys.exit(main())

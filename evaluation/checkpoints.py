"""Compares two or more checkpoints on a recipe's held-out prompts: speaks them,
lets the recipe's judges listen, writes the report.

python -m evaluation.checkpoints RECIPE.yaml --model base=OLD --model aligned=NEW --out DIR [key=value ...]
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lpo_tts import recipe as recipes
from lpo_tts.errors import ConfigError, exit_code
from lpo_tts.steps import check, evaluate, prompts, synthesize
from lpo_tts.steps.run import CODEC_COPY, RECORDING, exclusive


def compare_checkpoints(recipe: recipes.Recipe, models: Mapping[str, str]) -> dict[str, Any]:
    """Speaks and judges the recipe's held-out prompts with every model; the first one is the baseline.

    Args:
        recipe: gives prompts, codec, token layout, sampling and judges; its `out` receives everything.
        models: system name -> folder or hub id of a checkpoint of the recipe's backbone.

    Returns:
        The report, written to <out>/<evaluate.folder>/report.json and report.html too.
    """
    check.check_judges(recipe)
    run = recipe.run()
    with exclusive(recipe.out):
        prompts.execute(run)
        synthesize.speak(run, models)
        return evaluate.compare(run, list(models))


def parse_models(specs: Sequence[str]) -> dict[str, str]:
    """`name=checkpoint` specs in order; raises ConfigError for fewer than two, a bad form, or a name given twice."""
    models: dict[str, str] = {}
    for spec in specs:
        name, equals, model = spec.partition("=")
        if not (name and equals and model) or not name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"--model: expected name=checkpoint (letters, digits, - and _ in the name), found {spec!r}")
        if name in models or name in (RECORDING, CODEC_COPY):
            raise ConfigError(f"--model: the name {name!r} is taken; give every checkpoint its own")
        models[name] = model
    if len(models) < 2:
        raise ConfigError(f"--model: expected at least two checkpoints, the baseline first, found {len(models)}")
    return models


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; exit code 2 for what a user can mend."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=CHECKPOINT", help="the first one is the baseline")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("lpo_tts").setLevel(logging.INFO)

    def work() -> None:
        out = json.dumps(str(options.out), ensure_ascii=False)  # quoted: a folder called 2024 is no number
        recipe = recipes.load(options.recipe, [*options.overrides, f"out={out}"])
        report = compare_checkpoints(recipe, parse_models(options.model))
        for line in report["headline"]:
            print(line)
        print(f"report: {recipe.out / recipe.evaluate.folder / 'report.html'}")

    return exit_code("checkpoints", work)


if __name__ == "__main__":
    sys.exit(main())

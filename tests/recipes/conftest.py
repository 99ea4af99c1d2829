"""The tiny model of every recipe, written once a session, and the recipe's own backbone on it."""

import dataclasses
from pathlib import Path

import pytest

from lpo_tts import recipe
from lpo_tts.testing.tiny_models import tiny_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def on_tiny_model(tmp_path_factory):
    """A function from a recipe's name to its backbone, in float32 on the tiny model of that name."""
    folder = tmp_path_factory.mktemp("models")
    found = {}

    def backbone(name):
        if name not in found:
            settings = recipe.load(ROOT / "recipes" / f"{name}.yaml").backbone
            found[name] = dataclasses.replace(settings, model=tiny_model(name, folder / name), dtype="float32")
        return found[name]

    return backbone

"""Puts the recipes into the wheel, as `lpo_tts/starter_recipes`; everything else is said in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RECIPES = ("recipes/*.yaml", "recipes/codec_servers/*.py")  # what `lpo-tts init` writes recipes from


class BuildWithRecipes(build_py):
    """Copies the recipes beside the package. A checkout that is installed in place reads them where they are."""

    def run(self) -> None:
        """Builds as always, then copies; what an earlier build left there is removed first."""
        super().run()
        if getattr(self, "editable_mode", False):
            return
        target = Path(self.build_lib) / "lpo_tts" / "starter_recipes"
        shutil.rmtree(target, ignore_errors=True)
        for source in self._recipes():
            to = target / source.relative_to("recipes")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to)

    def get_source_files(self) -> list[str]:
        """The recipes too, so that they are in a source archive, from which wheels are built."""
        return [*super().get_source_files(), *map(str, self._recipes())]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """The copies too."""
        copies = [Path(self.build_lib) / "lpo_tts" / "starter_recipes" / one.relative_to("recipes") for one in self._recipes()]
        return [*super().get_outputs(include_bytecode), *map(str, copies)]

    def _recipes(self) -> list[Path]:
        return sorted(path for pattern in RECIPES for path in Path().glob(pattern))


setup(cmdclass={"build_py": BuildWithRecipes})

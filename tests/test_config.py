"""Strict configuration: what is wrong is named, and nothing slips through."""

from dataclasses import dataclass, field
from typing import Protocol

import pytest

from lpo_tts.config import Structurer, check_range, differences, merge, override, read_yaml
from lpo_tts.errors import ConfigError
from lpo_tts.registry import Registry


class Fruit(Protocol):
    sweetness: float


@dataclass(frozen=True)
class Apple:
    sweetness: float = 0.5
    colour: str = "red"

    def __post_init__(self) -> None:
        check_range("sweetness", self.sweetness, 0, 1)


@dataclass(frozen=True)
class Lemon:
    sweetness: float = 0.1
    pips: int = 7


@dataclass(frozen=True)
class Bowl:
    fruit: Fruit = field(default_factory=Apple)
    spare: Fruit | None = None
    sizes: tuple[int, ...] = (1, 2)
    by_name: dict[str, Apple] = field(default_factory=dict)
    note: str | None = None


REGISTRY = Registry("fruits", {"apple": f"{__name__}:Apple", "lemon": f"{__name__}:Lemon"})


class _Here(Registry):
    def get(self, name):
        return {"apple": Apple, "lemon": Lemon}.get(name) or super().get(name)

    def name_of(self, cls):
        return {Apple: "apple", Lemon: "lemon"}.get(cls, "?")


STRUCTURER = Structurer({Fruit: _Here("fruits", REGISTRY.members)})


def test_members_are_chosen_by_name_and_come_back():
    bowl = STRUCTURER.structure({"fruit": {"name": "lemon", "pips": 3}, "spare": "apple", "sizes": [4]}, Bowl)
    assert bowl == Bowl(fruit=Lemon(pips=3), spare=Apple(), sizes=(4,))
    assert STRUCTURER.structure(STRUCTURER.unstructure(bowl), Bowl) == bowl


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"fruti": "apple"}, "fruti: unknown key; did you mean fruit?"),
        ({"fruit": {"name": "aple"}}, "did you mean apple?"),
        ({"fruit": {"name": "lemon", "colour": "green"}}, "fruit.colour: unknown key"),
        ({"fruit": {"sweetness": 0.2}}, "expected {name: ..., settings} of family fruits"),
        ({"fruit": {"name": "apple", "sweetness": 2}}, "sweetness must be at least 0 and at most 1, found 2"),
        ({"sizes": [1, 2.5]}, "sizes[1]: expected a whole number, found 2.5"),
        ({"sizes": [True]}, "expected a whole number, found True"),
        ({"by_name": {"a": {"sweetness": "much"}}}, "by_name.a.sweetness: expected a number, found 'much'"),
        ({"note": 3}, "note: expected text, found 3"),
    ],
)
def test_what_is_wrong_is_named(tree, message):
    with pytest.raises(ConfigError) as error:
        STRUCTURER.structure(tree, Bowl)
    assert message in str(error.value)


def test_every_fault_is_listed_at_once():
    with pytest.raises(ConfigError) as error:
        STRUCTURER.structure({"sizes": ["x"], "note": 1, "more": 0}, Bowl)
    assert len(str(error.value).splitlines()) == 3


def test_naming_another_member_clears_the_settings_of_the_old_one():
    tree = {"loss": {"name": "lpo", "beta": 0.2}, "steps": 3}
    assert override(tree, "loss.name=dpo") == {"loss": {"name": "dpo"}, "steps": 3}
    assert override(tree, "loss.name=lpo") == tree
    assert override(tree, "loss.beta=0.1")["loss"] == {"name": "lpo", "beta": 0.1}
    assert merge({"a": {"name": "x", "k": 1}}, {"a": {"name": "y", "j": 2}}) == {"a": {"name": "y", "j": 2}}


def test_one_e_minus_six_is_a_number():
    bowl = STRUCTURER.structure(override({}, "fruit={name: apple, sweetness: 1e-6}"), Bowl)
    assert bowl.fruit.sweetness == 1e-6


@pytest.mark.parametrize("text", ["novalue", "=3", "a..b=1", "a=[1"])
def test_a_malformed_override_is_refused(text):
    with pytest.raises(ConfigError):
        override({}, text)


def test_recipes_can_extend_another(tmp_path):
    (tmp_path / "base.yaml").write_text("name: base\na: {name: x, k: 1}\nb: 2\n")
    (tmp_path / "child.yaml").write_text("extends: base.yaml\nname: child\na: {k: 5}\n")
    assert read_yaml(tmp_path / "child.yaml") == {"name": "child", "a": {"name": "x", "k": 5}, "b": 2}
    (tmp_path / "self.yaml").write_text("extends: self.yaml\n")
    with pytest.raises(ConfigError, match="extends must name another"):
        read_yaml(tmp_path / "self.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="expected a mapping"):
        read_yaml(tmp_path / "list.yaml")
    with pytest.raises(ConfigError, match="cannot read the recipe"):
        read_yaml(tmp_path / "none.yaml")


def test_differences_name_the_key():
    assert differences({"a": {"b": 1, "c": [1]}}, {"a": {"b": 2, "c": [1]}, "d": 0}) == ["a.b: 1 -> 2", "d: None -> 0"]


def test_a_member_of_ones_own_is_found_by_module_and_class():
    assert Registry("any", {}).get("collections:OrderedDict").__name__ == "OrderedDict"
    with pytest.raises(ConfigError, match="cannot be imported"):
        Registry("any", {}).get("no_such_module:Thing")

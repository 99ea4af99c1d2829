"""Strict configuration: what is wrong is named, and nothing slips through."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

import pytest

from lpo_tts.bounds import Range, at_least, check_value
from lpo_tts.config import Structurer, differences, merge, override, read_yaml
from lpo_tts.errors import ConfigError
from lpo_tts.registry import Registry


class Fruit(Protocol):
    sweetness: float


@dataclass(frozen=True)
class Apple:
    sweetness: float = 0.5
    colour: str = "red"

    def __post_init__(self) -> None:
        check_value("sweetness", self.sweetness, at_least(0).at_most(1))


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
    kind: Literal["bowl", "plate"] = "bowl"
    other: Literal["bowl", "plate"] | None = None


REGISTRY = Registry("fruits", {"apple": f"{__name__}:Apple", "lemon": f"{__name__}:Lemon"})


class _Here(Registry):
    def get(self, name, *, trusted=True):
        return {"apple": Apple, "lemon": Lemon}.get(name) or super().get(name, trusted=trusted)

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
        ({"kind": "cup"}, "kind: 'cup' is none of bowl, plate"),
        ({"kind": ["bowl"]}, "kind: ['bowl'] is none of bowl, plate"),
        ({"other": "cup"}, "other: 'cup' is none of bowl, plate"),
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
    with pytest.raises(ConfigError, match="which extends this recipe in turn; break the circle"):
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands twice, first in line 1; join the two"),
        ("train: {epochs: 1, epochs: 2}\n", "line 1: the key 'epochs' stands twice"),
        ("1: x\n", "line 1: expected a key that is text, found 1; put it into quotes"),
        ("yes: x\n", "expected a key that is text, found True"),
        ("- a\n- b\n", "expected a mapping of sections, found list"),
        ("", "expected a mapping of sections, found NoneType"),
        ("a: [1, 2\n", "r.yaml cannot be read as the YAML of a recipe: "),
        ("a: !!python/object/apply:os.system [echo]\n", "could not determine a constructor"),
        ("[" * 5000, "nested too deep"),
        ("extends: [a]\n", "extends must name another recipe, found"),
        ("extends: missing.yaml\n", "No such file or directory; check the path"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        read_yaml(tmp_path / "r.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_recipes_that_extend_each_other_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: ./../" + tmp_path.name + "/a.yaml\n")
    with pytest.raises(ConfigError, match="which extends this recipe in turn; break the circle"):
        read_yaml(tmp_path / "a.yaml")


def test_messages_name_what_the_file_is(tmp_path):
    for text, message in (
        (None, "cannot read the file of judges "),
        ("a: [1\n", "cannot be read as the YAML of a file of judges: "),
        ("extends: [a]\n", "extends must name another file of judges, found "),
        ("extends: r.yaml\n", "which extends this file of judges in turn; "),
        ("extends: none.yaml\n", "cannot read the file of judges "),
    ):
        if text is not None:
            (tmp_path / "r.yaml").write_text(text)
        with pytest.raises(ConfigError, match=message) as error:
            read_yaml(tmp_path / "r.yaml", "file of judges")
        assert "recipe" not in str(error.value)


def test_merge_keys_of_yaml_still_work(tmp_path):
    (tmp_path / "r.yaml").write_text("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n")
    assert read_yaml(tmp_path / "r.yaml")["y"] == {"a": 1, "b": 3}


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), "inf", "nan", "1e999"])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ConfigError, match=r"fruit.sweetness: expected a finite number"):
        STRUCTURER.structure({"fruit": {"name": "apple", "sweetness": value}}, Bowl)
    with pytest.raises(ConfigError, match="must be"):
        check_value("x", float("inf"), at_least(0))
    with pytest.raises(ConfigError, match="must be finite, found nan"):
        check_value("x", float("nan"), Range())


@pytest.mark.parametrize("value", ["a\0b", "a\ud800b"])
def test_text_that_is_none_is_refused(value):
    with pytest.raises(ConfigError, match="NUL character or a lone surrogate"):
        STRUCTURER.structure({"note": value}, Bowl)


@pytest.mark.parametrize("value", [None, 5, [1], "text"])
def test_settings_that_are_no_mapping_are_refused(value):
    with pytest.raises(ConfigError, match="expected settings as a mapping of names"):
        STRUCTURER.structure({"by_name": {"x": value}}, Bowl)


def test_a_tree_within_itself_is_refused():
    tree = {"fruit": "apple"}
    tree["by_name"] = tree
    with pytest.raises(ConfigError):
        STRUCTURER.structure({"by_name": tree}, Bowl)


@dataclass(frozen=True)
class OwnFruit:
    """A member of one's own: not in the table of names."""

    sweetness: float = 0.9
    size: int = 5


@dataclass(frozen=True)
class OtherFruit:
    sweetness: float = 0.9
    size: int = 5


@pytest.mark.parametrize("place", ["fruit", "spare"])
def test_a_member_of_ones_own_keeps_its_name_when_written(place, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "orchard", sys.modules[__name__])
    monkeypatch.setattr(OwnFruit, "__module__", "orchard")
    monkeypatch.setattr(OtherFruit, "__module__", "orchard")
    structurer = Structurer({Fruit: Registry("fruits", {})})
    bowls = [
        structurer.structure({"fruit": {"name": "orchard:OwnFruit"}, place: {"name": f"orchard:{cls}"}}, Bowl)
        for cls in ("OwnFruit", "OtherFruit")
    ]
    plain = [structurer.unstructure(bowl) for bowl in bowls]
    assert plain[0][place] == {"name": "orchard:OwnFruit", "sweetness": 0.9, "size": 5}
    assert plain[0] != plain[1], "two classes with equal settings must differ"
    assert [structurer.structure(tree, Bowl) for tree in plain] == bowls
    assert structurer.unstructure(OwnFruit(), Fruit)["name"] == "orchard:OwnFruit"


def test_files_from_elsewhere_may_not_import(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise RuntimeError('this code was run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    untrusted = Structurer({Fruit: Registry("fruits", {"apple": f"{__name__}:Apple"})}, trusted=False)
    with pytest.raises(ConfigError, match=r"fruits: 'evil:Thing' would import and run code of its own"):
        untrusted.structure({"fruit": {"name": "evil:Thing"}}, Bowl)


@pytest.mark.parametrize(
    ("name", "message"),
    [(":x", "cannot be imported"), ("os:getcwd", "expected a class"), ("io:StringIO", "dataclass of settings")],
)
def test_what_is_no_member_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        Structurer({Fruit: Registry("fruits", {})}).structure({"fruit": {"name": name}}, Bowl)


@pytest.mark.parametrize("found", ["abc", "x"])
def test_a_text_is_no_list_of_its_letters(found):
    @dataclass(frozen=True)
    class Lists:
        names: tuple[str, ...] = ()
        more: tuple[str, ...] | None = None
        either: str | None = None

    for name in ("names", "more"):
        with pytest.raises(ConfigError, match=rf"{name}: expected a list, found the text '{found}'; write \[{found}\]"):
            Structurer().structure({name: found}, Lists)
    assert Structurer().structure({"names": [found], "either": found}, Lists) == Lists(names=(found,), either=found)

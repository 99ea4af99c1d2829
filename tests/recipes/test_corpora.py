"""Recipes of corpora: each loads, and the commands in its head are those of a program that takes them and writes its tables."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from lpo_tts import recipe
from lpo_tts.config import read_yaml
from lpo_tts.steps import STEPS, check

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("mini", "accelerate", "samples")  # folders that belong to no corpus
PATHS = sorted(path for path in (ROOT / "recipes").glob("*/*.yaml") if path.parent.name not in OTHERS)
every_recipe = pytest.mark.parametrize("path", PATHS, ids=[f"{path.parent.name}/{path.stem}" for path in PATHS])


def head(path):
    """The comment on top, without its marks."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:])
    return "\n".join(lines)


def commands(path):
    """Every command of the head as words, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", head(path))
    return [
        shlex.split(line) for line in text.splitlines() if line.startswith("   ") and line.split()[0] in ("python", "lpo-tts")
    ]


def programs(path):
    """Module and arguments of every corpus program that the head names."""
    found = [words for words in commands(path) if words[0] == "python"]
    assert all(words[1] == "-m" and words[2].startswith("data_prep.") for words in found)
    return [(words[2], words[3:]) for words in found]


def out(arguments):
    return Path(arguments[arguments.index("--out") + 1])


def test_every_program_of_a_corpus_has_a_recipe():
    named = {module.removeprefix("data_prep.") for path in PATHS for module, _ in programs(path)}
    there = {
        path.stem
        for path in (ROOT / "data_prep").glob("*.py")
        if path.stem != "build_pairs" and "def find(" in path.read_text(encoding="utf-8")
    }
    assert there - named == set()


@every_recipe
def test_it_loads_and_its_settings_go_together(path):
    loaded = recipe.load(path, ["prompts.train=10", "sample.num_candidates=2"])
    assert check.problems(loaded.run(), STEPS, ()) == []
    assert loaded.name == path.parent.name.replace("_", "-") + "-" + path.stem
    assert loaded.out == Path("build") / loaded.name
    assert read_yaml(path)["prompts"]["manifest"], "said here, not in the recipe that it extends"


@every_recipe
def test_the_programs_write_what_it_reads_and_the_last_command_runs_it(path):
    prompts = recipe.load(path).prompts
    written = {out(arguments) for _, arguments in programs(path)}
    wanted = {prompts.manifest}
    if prompts.test_prompts is not None:
        assert prompts.test_prompts.name == "prompts.jsonl"
        wanted.add(prompts.test_prompts.with_name("manifest.jsonl"))
    assert written == wanted
    assert commands(path)[-1] == ["lpo-tts", "run", path.relative_to(ROOT).as_posix()]


@every_recipe
def test_the_programs_take_the_options_of_the_head(path, tmp_path, capsys):
    for module, arguments in programs(path):
        arguments = [str(tmp_path / "none"), "--out", str(tmp_path / "manifest.jsonl"), *_options(arguments)]
        assert importlib.import_module(module).main(arguments) == 2, "a wrong option ends otherwise, by SystemExit"
        assert "expected the folder of the corpus, found none" in capsys.readouterr().err


def _options(arguments):
    """All but RAW_DIR and --out, which stand first."""
    assert not arguments[0].startswith("-")
    assert arguments[1] == "--out"
    return arguments[3:]


@every_recipe
def test_the_head_says_licences_and_where_the_corpus_is(path):
    text = head(path)
    assert "icence" in text
    own = path.parent.name in ("folder", "lhotse")
    assert own or "https://" in text
    assert all(len(line) <= 129 for line in text.splitlines())


@every_recipe
def test_who_ranks_is_not_who_judges(path):
    tree = read_yaml(path)
    ranking = list(tree["score"]["metrics"].values())
    judges = tree["evaluate"]["judges"].values()
    independent = [one["metric"] for one in judges if one["role"] == "judge"]
    assert independent
    for one in independent:
        for other in ranking:
            for part in ("recogniser", "encoder"):
                assert part not in one or one[part] != other.get(part)


@every_recipe
def test_judges_hear_the_language(path):
    """Chinese is counted by character; a recogniser that is told a language is told the same one as its neighbour."""
    tree = read_yaml(path)
    wer = tree["score"]["metrics"]["wer"]
    language = wer["recogniser"].get("language", "en")
    judge = tree["evaluate"]["judges"]["judge-wer"]["metric"]
    assert ("zh" in language) == (wer["normaliser"] == "characters")
    if language == "en":
        assert judge["recogniser"].get("model") in ("facebook/hubert-large-ls960-ft", "openai/whisper-large-v3")
    else:
        assert judge["recogniser"].get("model") != "facebook/hubert-large-ls960-ft"


def test_the_page_of_corpora_names_every_program_and_every_recipe():
    page = (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and ".yaml" in line]
    linked = [name for row in rows for name in re.findall(r"\(\.\./(recipes/[\w/.-]+\.yaml)\)", row)]
    assert sorted(linked) == [path.relative_to(ROOT).as_posix() for path in PATHS]
    for row in rows:
        program = row.split("|")[2].strip(" `")
        for name in re.findall(r"\(\.\./(recipes/[\w/.-]+\.yaml)\)", row):
            assert f"data_prep.{program}" in [module for module, _ in programs(ROOT / name)]


def test_links_of_the_page_lead_somewhere():
    page = (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8")
    for name, anchor in re.findall(r"\(([\w/.-]+\.md)(?:#([\w-]+))?\)", page):
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        heads = [re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
        assert not anchor or anchor in heads, f"{name}#{anchor}"

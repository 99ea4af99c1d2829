"""Before the first step works: what is wrong is found, all of it, and nothing of a finished run is touched."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lpo_tts import cli, pipeline, recipe
from lpo_tts.errors import ConfigError
from lpo_tts.steps import check

ROOT = Path(__file__).resolve().parents[1]
MINI = ROOT / "recipes" / "mini" / "mini.yaml"
MISSING = "prompts.manifest=no/such/manifest.jsonl"


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)  # the mini recipe names its checkpoints from there


def manifest_of(folder, rows):
    """A manifest whose recordings exist."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (split, text) in enumerate(rows):
        (folder / f"{number}.wav").write_bytes(b"")
        row = {"id": f"u{number}", "audio": f"{number}.wav", "text": text, "duration": 1.0, "speaker": "s", "split": split}
        lines.append(json.dumps(row) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines))
    return f"prompts.manifest={folder / 'manifest.jsonl'}"


@pytest.mark.slow
def test_check_finds_every_fault_in_one_go(tmp_path, capsys):
    overrides = [
        MISSING,
        f"out={tmp_path}",
        "pair.rules=[{rule: {name: best_worst, metric: mos}}]",
        "codec.model=recipes/mini/checkpoints/no-codec",
        "evaluate.judges.pocketsphinx.metric.recogniser.grammar=no/such/grammar.jsgf",
        f"score.metrics.wer.recogniser.model={tmp_path / 'nowhere'}",
    ]
    assert cli.main(["check", str(MINI), *overrides, "--offline"]) == 2
    shown = capsys.readouterr()
    for message in (
        "prompts.manifest: cannot read no/such/manifest.jsonl",
        "metric mos is not scored by this recipe",
        "codec: no such folder: 'recipes/mini/checkpoints/no-codec'",
        "score wer: ",
        "judge pocketsphinx (outside): ",
    ):
        assert message in shown.err, message
    assert "Traceback" not in shown.err
    assert "judge judge-wer (judge): " in shown.out, "what is in order is said too"
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=4294967296", "seed must be at least 0 and at most"),
        ("engine.workers=99999999", "workers must be at least 0 and at most"),
        ("rounds=99999999", "rounds must be at least 1 and at most"),
        ("evaluate.average=foo", "evaluate.average: 'foo' is none of corpus, corpus_evaluated, utterance, utterance_evaluated"),
        ("evaluate.folder=/abs", "folder: expected a folder below the run folder, found '/abs'"),
        ("evaluate.folder=../up", "folder: expected a folder below the run folder"),
        ("evaluate.num_resamples=0", "num_resamples must be at least 1000"),
        ("train=null", "train: expected settings, found nothing"),
        ("train.loss=null", "train.loss"),
        ("variants={x: 5}", "variants.x: expected changes to `pair` and `train`, found 5"),
        ("variants=[1]", "variants: expected a mapping of names, found [1]"),
        ("variants={'a/b': {}}", "expected a name of letters, digits, - and _"),
        ("name=a/b", "name: expected a name of letters"),
        ("train.learning_rate=inf", "train.learning_rate: expected a finite number"),
        ("train.learning_rate=.nan", "train.learning_rate: expected a finite number"),
        ("train.loss.gamma=.inf", "gamma: expected a finite number"),
        ("sample.sampling.decoder=slow", "sample.sampling.decoder: 'slow' is none of auto, fast, transformers"),
        ("score.metrics={'a/b': {name: duration}}", "metrics: expected a name of letters"),
    ],
)
def test_what_would_fail_late_is_refused_when_the_recipe_is_read(override, message):
    with pytest.raises(ConfigError) as error:
        recipe.load(MINI, [override])
    assert message in str(error.value)


def test_a_device_that_is_none_is_refused(tmp_path, capsys):
    for name in ("foo", "cuda:99"):
        assert cli.main(["run", str(MINI), MISSING, f"out={tmp_path}", f"device={name}"]) == 2
        assert f"'{name}'" in capsys.readouterr().err
    assert cli.main(["check", str(MINI), MISSING, "device=foo"]) == 2
    assert "device: expected auto, cpu, cuda" in capsys.readouterr().err


@pytest.mark.slow
def test_a_tracker_that_is_not_installed_is_found_before_the_first_step(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    told = []
    run = recipe.load(MINI, ["train.trackers=[wandb]", "variants={a: {}, b: {}}"]).run()
    (fault,) = check.broken_parts(run, ["train"], told.append)
    assert fault.startswith("train.trackers: the tracker wandb needs the package wandb: pip install 'lpo-tts[trackers]'")
    assert not check.broken_parts(run, [])
    own = recipe.load(MINI, ["train.trackers=[tensorboard]"]).run()
    assert not check.broken_parts(own, ["train"], told.append)
    assert "train.trackers: tensorboard loads" in told
    monkeypatch.setenv("RANK", "1")  # the first process alone sends
    assert not check.broken_parts(run, ["train"])


def test_a_tracker_that_an_evaluation_lacks_is_warned_of(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    (line,) = check.unsent(recipe.load(MINI, ["evaluate.trackers=[wandb]"]))
    assert line.startswith("evaluate.trackers: the tracker wandb needs the package wandb")
    assert line.endswith("; the report would be written, but not sent")
    assert not check.unsent(recipe.load(MINI))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no row of split train"),
        ([("train", "one two"), ("train", "two")], "synthesize.split: "),
        ([("test", "one two"), ("test", "two")], "sample.splits: "),
    ],
)
def test_an_empty_split_is_found_before_anything_is_sampled(tmp_path, capsys, rows, message):
    manifest = manifest_of(tmp_path / "corpus", rows)
    assert cli.main(["run", str(MINI), manifest, f"out={tmp_path / 'out'}"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert not (tmp_path / "out" / "prompts.jsonl").exists()


def test_judges_and_candidates_that_cannot_give_a_result_are_found(tmp_path, capsys):
    manifest = manifest_of(tmp_path / "corpus", [("train", "one"), ("train", "two"), ("test", "one"), ("test", "two")])
    common = [str(MINI), manifest, f"out={tmp_path / 'out'}"]
    assert cli.main(["run", *common, "sample.num_candidates=1"]) == 2
    assert "a pair needs two candidates of a prompt, found 1" in capsys.readouterr().err
    tree = recipe.STRUCTURER.unstructure(recipe.load(MINI, common[1:]))
    tree["evaluate"]["judges"] = {"q": tree["evaluate"]["judges"]["dnsmos"]}
    loaded = recipe.structure({key: value for key, value in tree.items() if key != "variants"})
    with pytest.raises(ConfigError, match="expected at least one judge whose metric is a ratio"):
        pipeline.run(loaded)


def test_hub_ids_without_a_revision_are_named(tmp_path):
    loaded = recipe.load(MINI, ["evaluate.judges.judge-wer.metric.recogniser={name: whisper, model: openai/whisper-tiny}"])
    lines = check.unpinned(loaded.run())
    assert len(lines) == 1
    assert "evaluate.judges.judge-wer.recogniser.model: 'openai/whisper-tiny' has no revision" in lines[0]
    pinned = "evaluate.judges.judge-wer.metric.recogniser={name: whisper, model: openai/whisper-tiny, revision: abc}"
    assert not check.unpinned(recipe.load(MINI, [pinned]).run())
    path = "evaluate.judges.judge-wer.metric.recogniser={name: whisper, model: ./models/whisper}"  # not there, and no hub id
    assert not check.unpinned(recipe.load(MINI, [path]).run())


def test_voices_that_the_model_does_not_hear_are_told():
    orpheus = ROOT / "recipes" / "orpheus-3b.yaml"
    assert not check.unheard(recipe.load(orpheus))
    assert not check.unheard(recipe.load(MINI))
    lines = check.unheard(recipe.load(orpheus, ["prompts.voice=same_speaker"]))
    assert len(lines) == 1
    assert "backbone.template has no {voice}" in lines[0]


def test_help_and_list_do_not_wait_for_torch():
    code = "import sys; from lpo_tts import cli; cli.main(['list']); assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_reading_a_recipe_does_not_wait_for_the_trainer():
    code = (
        f"import sys; from lpo_tts import pipeline, recipe; recipe.load({str(MINI)!r}); "
        "print({'transformers.trainer', 'transformers.training_args', 'accelerate', 'peft'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_a_part_of_ones_own_is_found_in_the_working_folder(tmp_path):
    (tmp_path / "my_parts.py").write_text(
        "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Metric:\n    higher_is_better = True\n"
        "    sweetness: float = 1.0\n\n    def load(self, device='cpu'):\n        raise SystemExit(7)\n"
    )
    script = Path(sys.executable).with_name("lpo-tts")
    command = [str(script), "check", str(MINI), "score.metrics={own: {name: my_parts:Metric}}", f"out={tmp_path / 'out'}"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr


def test_somebodys_recipe_is_not_imported(tmp_path):
    tree = recipe.STRUCTURER.unstructure(recipe.load(MINI))
    tree["score"]["metrics"]["own"] = {"name": "antigravity:Metric"}
    with pytest.raises(ConfigError, match="'antigravity:Metric' would import and run code of its own"):
        recipe.structure({key: value for key, value in tree.items() if key != "variants"}, trusted=False)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("within", [False, True])
def test_somebodys_recipe_starts_no_program(within):
    tree = recipe.STRUCTURER.unstructure(recipe.load(MINI))
    server = {"name": "process", "command": ["sh", "-c", "true"]}
    tree["codec"] = {"name": "s3", "decoder": server} if within else server
    tree = {key: value for key, value in tree.items() if key != "variants"}
    assert recipe.structure(tree).codec  # a recipe of one's own may
    with pytest.raises(ConfigError, match=r"codec.*'process' would start a program \(command\), which files from elsewhere may"):
        recipe.structure(tree, trusted=False)


HTTP = {"name": "http", "url": "http://localhost:9/"}


@pytest.mark.parametrize(
    "score",
    [
        {"metrics": {"mos": {**HTTP, "higher_is_better": True}}},
        {"comparisons": {"judge": {"comparer": HTTP}}},
        {"comparisons": {"judge": {"comparer": {"name": "metric", "metric": {**HTTP, "higher_is_better": True}}}}},
    ],
    ids=["metric", "comparer", "within"],
)
def test_somebodys_recipe_sends_no_recording_away(score):
    tree = recipe.STRUCTURER.unstructure(recipe.load(MINI))
    tree = {key: value for key, value in tree.items() if key != "variants"}
    tree["score"] = {**tree["score"], **score}
    assert recipe.structure(tree).score  # a recipe of one's own may
    message = r"score.*'http' would send recordings to an address \(url\), which files from elsewhere may not"
    with pytest.raises(ConfigError, match=message):
        recipe.structure(tree, trusted=False)


def test_somebodys_recipe_joins_no_cluster():
    tree = recipe.STRUCTURER.unstructure(recipe.load(MINI))
    tree = {key: value for key, value in tree.items() if key != "variants"}
    assert recipe.structure({**tree, "engine": {"name": "ray"}}, trusted=False).engine  # of this machine alone
    joining = {**tree, "engine": {"name": "ray", "address": "auto"}}
    assert recipe.structure(joining).engine
    message = r"engine.*'ray' would exchange code with machines at an address \(address\), which files from elsewhere may not"
    with pytest.raises(ConfigError, match=message):
        recipe.structure(joining, trusted=False)


@pytest.mark.parametrize(("word", "attribute"), [("command", "programs"), ("url", "sends"), ("address", "joins")])
def test_members_say_by_which_settings_they_start_a_program_or_send_something_away(word, attribute):
    for registry in recipe.FAMILIES.values():
        for member in map(registry.get, registry):
            named = [field.name for field in dataclasses.fields(member) if word in field.name]
            assert set(named) <= set(getattr(member, attribute, ())), member


@pytest.mark.parametrize(("precision", "fast", "lines"), [("bf16", False, 1), ("bf16", True, 0), ("fp32", False, 0)])
def test_a_processor_without_bfloat16_is_named(monkeypatch, precision, fast, lines):
    monkeypatch.setattr(check.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(check.torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    monkeypatch.setattr(check.torch.cpu, "_is_amx_tile_supported", lambda: False)
    found = check.slow_precision(recipe.load(MINI, [f"train.precision={precision}"]), "cpu")
    assert len(found) == lines
    assert all("train.precision=fp32 gives the same results but for rounding" in line for line in found)

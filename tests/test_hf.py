"""Sources of checkpoints, what goes wrong with them in one line, and a torchaudio that lets transformers be imported."""

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import lpo_tts
from lpo_tts import hf
from lpo_tts.asr.ctc import CTCRecogniser
from lpo_tts.asr.whisper import WhisperRecogniser
from lpo_tts.backbones.flat import FlatBackbone, SlotSettings
from lpo_tts.codecs.dac import DacCodec
from lpo_tts.codecs.encodec import EncodecCodec
from lpo_tts.codecs.mimi import MimiCodec
from lpo_tts.codecs.mini import MiniCodec
from lpo_tts.codecs.neucodec import NeuCodec
from lpo_tts.codecs.snac import SnacCodec
from lpo_tts.codecs.xcodec2 import Xcodec2Codec
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.speaker import ecapa
from lpo_tts.speaker.ecapa import ECAPAEncoder

PACKAGE = Path(lpo_tts.__file__).parent


def flat(model, **settings):
    return FlatBackbone(model=model, template="{text}", slots=(SlotSettings("<|code_0|>", 4),), end=("<|end|>",), **settings)


HUB_PARTS = {
    "flat": flat,
    "dac": DacCodec,
    "encodec": EncodecCodec,
    "mimi": MimiCodec,
    "neucodec": NeuCodec,
    "snac": SnacCodec,
    "xcodec2": Xcodec2Codec,
    "whisper": WhisperRecogniser,
    "ctc": CTCRecogniser,
    "ecapa": ECAPAEncoder,
}
every_part = pytest.mark.parametrize("make", HUB_PARTS.values(), ids=HUB_PARTS)


def test_a_folder_goes_before_a_hub_id_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hf.hub_id("openai/whisper-tiny") == "openai/whisper-tiny"
    assert hf.hub_id("gpt2") == "gpt2"
    assert not hf.is_local("openai/whisper-tiny")
    (tmp_path / "openai" / "whisper-tiny").mkdir(parents=True)
    assert hf.is_local("openai/whisper-tiny")
    assert hf.hub_id("openai/whisper-tiny") is None
    assert hf.location("openai/whisper-tiny") == {}


@pytest.mark.parametrize(
    "source",
    [
        "./base",
        "../base",
        "/nowhere/base",
        "~/base",
        "models/base/",
        "build/mini/run/final",
        "a b",
        "",
        "base\0",
        "x" * 5000,
        "a..b",
    ],
)
@every_part
def test_what_can_only_be_a_folder_is_never_asked_of_the_hub(make, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ComponentError) as caught:
        make(source).load()
    assert str(caught.value).startswith(f"no such folder: {source!r}; ")
    if not source.startswith("/"):
        assert f"relative paths start from the working folder, which is {tmp_path}" in str(caught.value)


def test_the_mini_codec_of_another_working_folder_is_no_such_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ComponentError, match=r"no such folder: 'checkpoints/codec'; relative paths start from"):
        MiniCodec("checkpoints/codec").load()


@every_part
def test_a_file_is_no_checkpoint(make, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ComponentError, match=r"model\.safetensors: expected a folder with a checkpoint, found a file"):
        make(str(tmp_path / "model.safetensors")).load()


@every_part
def test_a_hub_out_of_reach_is_one_line_that_says_what_to_do(make, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ComponentError) as caught:
        make("nobody/has-this-model", revision="0123abc").load()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("nobody/has-this-model (revision 0123abc): expected a")
    assert "HF_HUB_OFFLINE keeps the hub out of reach" in message


@every_part
def test_a_revision_beside_a_folder_is_refused(make, tmp_path):
    with pytest.raises(ComponentError, match="is a folder, which has no revision 'v1'; remove `revision`"):
        make(str(tmp_path), revision="v1").load()


@pytest.mark.parametrize("revision", ["", "../../etc", "a..b", "-x", "a b", "x\n"])
@every_part
def test_what_is_no_revision_is_refused(make, revision):
    with pytest.raises(ConfigError, match="revision: expected a commit, tag or branch"):
        make("owner/name", revision=revision)


@every_part
def test_a_torn_checkpoint_is_one_line(make, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "hyperparams.yaml"):
        (tmp_path / name).write_text("{")
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ComponentError) as caught:
        make(str(tmp_path)).load()
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def cached(home, files_by_commit, main):
    """A hub cache with a repository owner/name of these commits."""
    repository = home / "hub" / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(main)
    for commit, files in files_by_commit.items():
        (repository / "snapshots" / commit).mkdir(parents=True)
        for name, text in files.items():
            (repository / "snapshots" / commit / name).write_text(text)


def test_the_revision_decides_what_is_read(tmp_path, monkeypatch):
    from huggingface_hub import constants
    from transformers.utils import hub

    first, second, absent = "1" * 40, "2" * 40, "3" * 40
    files = {
        commit: {"hyperparams.yaml": kind, "config.json": f'{{"model_type": "{kind}"}}', "embedding_model.ckpt": ""}
        for commit, kind in ((first, "bert"), (second, "gpt2"))
    }
    cached(tmp_path, files, main=first)
    for module in (constants, hub.constants):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for revision, kind in ((None, "bert"), (second, "gpt2"), (first, "bert")):
        assert (ecapa._download("owner/name", revision) / "hyperparams.yaml").read_text() == kind
        with pytest.raises(ComponentError, match=f"found a {kind} one"):
            EncodecCodec("owner/name", revision=revision).load()
    with pytest.raises(ComponentError, match=rf"owner/name \(revision {absent}\): expected a folder with"):
        ecapa._download("owner/name", absent)
    with pytest.raises(ComponentError, match=rf"owner/name \(revision {absent}\): expected an EnCodec"):
        EncodecCodec("owner/name", revision=absent).load()


def calls():
    """Every call in the library: (file, line, name of the function, of what it is an attribute, the call)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                owner = getattr(getattr(node.func, "value", None), "id", "")
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", name, owner, node


def keyword(call, name):
    return next((item.value for item in call.keywords if item.arg == name), None)


def test_every_part_passes_its_revision_on_and_runs_no_code_of_a_checkpoint():
    seen = 0
    for where, name, owner, call in calls():
        if name not in ("from_pretrained", "snapshot_download", "hf_hub_download") or where.startswith("training"):
            continue  # the trainer is given a folder, or a model
        seen += 1
        assert any(item.arg is None for item in call.keywords), f"{where}: no **place of hf.loading"
        if owner.startswith("Auto"):
            trust = keyword(call, "trust_remote_code")
            assert isinstance(trust, ast.Constant), f"{where}: say trust_remote_code=False, or transformers asks the user"
            assert trust.value is False, where
    assert seen >= 14


def test_no_data_is_unpickled_or_evaluated():
    for where, name, owner, call in calls():
        if name == "load" and owner == "torch":
            safe = keyword(call, "weights_only")
            assert isinstance(safe, ast.Constant), f"{where}: torch.load without weights_only=True"
            assert safe.value is True, where
        if owner == "yaml":
            assert name != "unsafe_load", where
            assert name != "load" or keyword(call, "Loader").id in ("_Reader", "_Loader"), where  # SafeLoaders
        if owner == "pickle":  # between a process and its own workers
            assert name == "dumps" or where.startswith(("engines/", "testing/")), where
        if owner in ("numpy", "np"):
            assert keyword(call, "allow_pickle") is None, where
        assert name not in ("eval", "exec", "load_hyperpyyaml", "joblib") or owner == "self" or _is_method(call), where


def _is_method(call):
    """`model.eval()` is no `eval("...")`."""
    return isinstance(call.func, ast.Attribute)


@pytest.mark.slow
def test_transformers_can_be_imported_first():
    if find_spec("torchaudio") is None:
        pytest.skip("torchaudio is not installed")
    code = (
        "import transformers, torchaudio, torch\n"
        "from transformers import WhisperFeatureExtractor, AutoModelForCTC\n"
        "mel = torchaudio.compliance.kaldi.fbank(torch.randn(1, 16000), num_mel_bins=20)\n"
        "assert mel.shape == (98, 20), mel.shape\n"
        "import speechbrain\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, f"{ran.stderr[-500:]}\nrun `{sys.executable} -m lpo_tts.hf` once, as the Makefile does"


def test_the_compiled_part_that_cannot_be_loaded_is_put_aside(tmp_path):
    for name in ("_torchaudio.abi3.so", "libtorchaudio.abi3.so", "__init__.py"):
        (tmp_path / name).write_text(name)
    renamed = hf.put_aside(tmp_path)
    assert renamed == [tmp_path / "_torchaudio.abi3.so.aside"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "__init__.py",
        "_torchaudio.abi3.so.aside",
        "libtorchaudio.abi3.so",
    ]
    assert hf.put_aside(tmp_path) == []


def fake_torchaudio(folder, text):
    (folder / "torchaudio" / "lib").mkdir(parents=True)
    (folder / "torchaudio" / "__init__.py").write_text(text)
    (folder / "torchaudio" / "lib" / "_torchaudio.so").write_text("for CUDA")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(PACKAGE.parent)])}
    command = [sys.executable, "-m", "lpo_tts.hf"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True, cwd=folder)
    return ran.stderr, (folder / "torchaudio" / "lib" / "_torchaudio.so").exists()


def test_the_command_mends_what_cannot_be_loaded_and_touches_nothing_else(tmp_path):
    broken = (
        "import pathlib\n"
        "lib = pathlib.Path(__file__).parent / 'lib' / '_torchaudio.so'\n"
        "if lib.exists(): raise OSError(f'Could not load this library: {lib}')\n"
    )
    said, still_there = fake_torchaudio(tmp_path / "broken", broken)
    assert "its compiled part is aside" in said
    assert not still_there
    assert fake_torchaudio(tmp_path / "sound", "") == ("", True)
    assert fake_torchaudio(tmp_path / "other", "raise ImportError('torch is not installed')") == ("", True)


def test_a_torchaudio_that_cannot_be_loaded_is_one_line_with_the_command(tmp_path):
    with (
        pytest.raises(ComponentError, match=r"built for CUDA, and torch is not; run `python -m lpo_tts\.hf`"),
        hf.loading(str(tmp_path), "a checkpoint"),
    ):
        raise OSError("Could not load this library: /x/_torchaudio.abi3.so\nmore")

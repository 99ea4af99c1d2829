"""An aligned model leaves with a card that is true, and with nothing of the machine; without licence or report it stays."""

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import soundfile
import torch
import yaml

from lpo_tts import artefacts, cli, recipe
from lpo_tts.steps.published import local_folder

ROOT = Path(__file__).resolve().parents[2]
CODEC = "codec.model=recipes/mini/checkpoints/codec"  # as people write it who work in a checkout


@pytest.fixture(autouse=True)
def _checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def push(tiny, finished):
    def push(to, *more, out=finished):
        return cli.main(["push", str(tiny / "recipe.yaml"), f"out={out}", CODEC, "--to", str(to), *more, "--quiet"])

    return push


@pytest.fixture(scope="module")
def pushed(tiny, finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pushed") / "tiny-aligned"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        arguments = [
            "push",
            str(tiny / "recipe.yaml"),
            f"out={finished}",
            CODEC,
            "--to",
            str(folder),
            "--licence",
            "cc-by-nc-4.0",
        ]
        assert cli.main([*arguments, "--quiet"]) == 0
    return folder


def test_the_folder_holds_the_model_its_recipe_and_nothing_else(pushed, finished):
    names = {path.name for path in pushed.iterdir()}
    model = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert names == model | {"README.md", "recipe.yaml"}
    own = finished / "run" / "final" / "model.safetensors"
    assert (pushed / "model.safetensors").read_bytes() == own.read_bytes()
    assert os.stat(own).st_nlink == 1, "who edits the folder does not edit the run"
    for path in pushed.glob("*"):
        if path.suffix in (".md", ".yaml") or "config" in path.name:
            assert str(Path.home()) + "/" not in path.read_text()
            assert str(finished) not in path.read_text()
            assert "/tmp/" not in path.read_text()


def test_the_head_of_the_card_is_what_the_hub_reads(pushed):
    head = yaml.safe_load((pushed / "README.md").read_text().split("---\n")[1])
    assert head == {
        "license": "cc-by-nc-4.0",
        "language": ["en"],
        "pipeline_tag": "text-to-speech",
        "library_name": "transformers",
        "tags": ["lpo-tts", "text-to-speech", "preference-alignment", "lpo-ste"],
    }


def test_the_card_tells_the_figures_and_who_judged(pushed, finished):
    card = (pushed / "README.md").read_text()
    report = json.loads((finished / "report" / "report.json").read_text())
    wer = report["results"]["aligned"]["metrics"]["judge"]["wer"]
    assert f"{100 * wer['estimate']:.2f} % [{100 * wer['low']:.2f}, {100 * wer['high']:.2f}]" in card
    assert f"> {report['headline'][0]}" in card
    assert "On 6 prompts × 2 seeds (held out, split test); in brackets 95% intervals" in card
    assert "other ears, codec-copy: WER" in card
    ranked, judged = card.split("They were ranked by:")[1].split("The result was judged by:")
    assert "- `wer`: wer by ears:HashRecogniser" in ranked
    assert "- other ears (held out): word error rate" in judged
    assert f"lpo-tts {artefacts.versions()['lpo-tts']}" in card
    assert (pushed / "recipe.yaml").read_text().strip() in card


def test_the_recipe_can_be_read_again(pushed, tiny, finished):
    again = recipe.load(pushed / "recipe.yaml")
    own = recipe.load(tiny / "recipe.yaml", [f"out={finished}", CODEC])
    assert again.train == own.train
    assert again.pair == own.pair
    assert again.codec == own.codec
    assert (again.backbone.model, str(again.out)) == ("model", "out")


def test_the_code_of_the_card_speaks(pushed, tiny, finished, tmp_path):
    code = (pushed / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert 'folder = "tiny-aligned"' in code
    assert "..." not in code
    voice = finished.parent / "corpus" / "4.wav"
    for given, real in (("tiny-aligned", pushed), ("voice.wav", voice), ("spoken.wav", tmp_path / "spoken.wav")):
        code = code.replace(f'"{given}"', f'"{real}"')
    place = {}
    exec(code, place)
    assert place["synthesizer"].backbone.model == str(pushed)
    wave, rate = soundfile.read(tmp_path / "spoken.wav")
    assert rate == 16000
    assert len(wave) == len(place["audio"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the licence of the base model is not known (about.licence: ''); read it, and give --licence NAME"),
        (["about.licence=not verified"], "is not known (about.licence: 'not verified')"),
        (
            ["about.licence=CC BY-NC-ND 4.0"],
            "forbids to share derivatives, and an aligned model is one; with the leave of its owner",
        ),
        (["about.licence=CC BY-ND 4.0", "--licence", "mit"], "the licence 'CC BY-ND 4.0' forbids to share derivatives"),
        (["--licence", ""], "--licence: expected the name of a licence, such as apache-2.0, found ''"),
        (["--licence", "unknown"], "found 'unknown'"),
        (["--licence", "mit", "--system", "x"], "--system: no system named 'x'"),
        (["--licence", "mit", "evaluate.folder=elsewhere"], "run `lpo-tts evaluate` first, or add --without-figures"),
    ],
)
def test_a_model_stays_where_something_is_missing(arguments, message, push, tmp_path, capsys):
    assert push(tmp_path / "to", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


def test_consent_and_warnings(push, tmp_path, capsys):
    assert push(tmp_path / "nd", "about.licence=CC BY-NC-ND 4.0", "--yes") == 0
    assert "warning: the licence 'CC BY-NC-ND 4.0' forbids commercial use" in capsys.readouterr().out
    assert "license: cc-by-nc-nd-4.0" in (tmp_path / "nd" / "README.md").read_text()
    assert push(tmp_path / "bare", "about.licence=NeuTTS Open License 1.0", "--without-figures") == 0
    card = (tmp_path / "bare" / "README.md").read_text()
    assert "license_name: neutts-open-license-1.0" in card
    assert "published without a report" in card
    assert push(tmp_path / "bare", "--licence", "mit") == 2
    assert "expected a new or empty folder" in capsys.readouterr().err


def test_figures_of_another_model_are_refused(push, finished, tmp_path, capsys):
    out = tmp_path / "run" / "out"
    shutil.copytree(finished, out)
    shutil.copytree(finished.parent / "corpus", tmp_path / "run" / "corpus")
    manifest = f"prompts.manifest={tmp_path / 'run' / 'corpus' / 'manifest.jsonl'}"
    tiny_recipe = [f"out={out}", CODEC, manifest, "train.learning_rate=1e-2", "--redo", "train", "--quiet"]
    assert push(tmp_path / "one", "--licence", "mit", out=out) == 0
    (tiny,) = {yaml.safe_load((finished / "recipe.tiny.json").read_text())["backbone"]["model"]}
    assert cli.main(["train", str(Path(tiny).parent / "recipe.yaml"), *tiny_recipe]) == 0
    capsys.readouterr()
    assert push(tmp_path / "two", "train.learning_rate=1e-2", "--licence", "mit", out=out) == 2
    assert "judges another model than" in capsys.readouterr().err


@pytest.mark.slow
def test_adapters_leave_as_adapters_or_merged(push, tiny, finished, tmp_path):
    from safetensors.torch import load_file

    out = tmp_path / "run" / "out"
    shutil.copytree(finished, out, ignore=shutil.ignore_patterns("run*", "reference*", "synthesized", "judgements", "report"))
    common = [str(tiny / "recipe.yaml"), f"out={out}", CODEC, "train.lora.rank=2", "train.learning_rate=1e-2"]
    assert cli.main(["reference", *common, "--quiet"]) == 0
    assert cli.main(["train", *common, "--quiet"]) == 0
    more = ["train.lora.rank=2", "train.learning_rate=1e-2", "--licence", "mit", "--without-figures"]
    assert push(tmp_path / "adapters", *more, out=out) == 0
    assert push(tmp_path / "merged", *more, "--merge", out=out) == 0
    names = {path.name for path in (tmp_path / "adapters").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "recipe.yaml"} <= names
    assert not names & {"training_args.bin", "model.safetensors"}
    config = json.loads((tmp_path / "adapters" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "model"
    card = (tmp_path / "adapters" / "README.md").read_text()
    assert "library_name: peft" in card
    assert 'f"backbone.adapter={folder}"' in card
    own = recipe.load(tiny / "recipe.yaml", [f"backbone.adapter={tmp_path / 'adapters'}"]).backbone.load().module
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    for name, weight in own.named_parameters():
        if name in merged:
            torch.testing.assert_close(weight, merged[name], rtol=1e-5, atol=1e-6)


def test_places():
    assert local_folder("owner/name") is None
    assert local_folder("a/b/c") is None
    assert [str(local_folder(one)) for one in ("./a", "../a/b", "/a", "file:a/b", "file:///a", "a")] == [
        *("a", "../a/b", "/a", "a/b", "/a", "a"),
    ]


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as an upload of small files asks for; owners named `denied` may not write."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, bytes]] = []

    def _body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def do_POST(self):
        body, status = self._body(), 200
        self.asked.append((self.path, body))
        answer = {"url": "http://127.0.0.1/owner/name", "id": "1", "name": "owner/name"}
        if b"denied" in body or "denied" in self.path:
            status, answer = 403, {"error": "You do not have the rights to create a model under this namespace"}
        elif "/preupload/" in self.path:
            paths = [one["path"] for one in json.loads(body)["files"]]
            answer = {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False, "oid": None} for path in paths]}
        elif "/commit/" in self.path:
            answer = {"success": True, "commitOid": "0" * 40, "commitUrl": f"http://127.0.0.1/owner/name/commit/{'0' * 40}"}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST

    def log_message(self, *arguments):
        pass


@pytest.mark.slow
def test_the_hub_gets_the_folder_in_one_commit(tiny, finished, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_TOKEN": "hf_test", "HF_HUB_OFFLINE": "0"}
    own = {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "lpo_tts.cli", "push", str(tiny / "recipe.yaml"), f"out={finished}", CODEC]
    command += ["--licence", "mit", "--private", "--to"]

    def push(to):
        environment = {**os.environ, **settings, **own}
        return subprocess.run([*command, to], env=environment, capture_output=True, text=True, check=False)

    done = push("owner/name")
    assert done.returncode == 0, done.stderr
    assert "model: https://huggingface.co/owner/name" in done.stdout
    created = [json.loads(body) for path, body in Hub.asked if path == "/api/repos/create"]
    assert created == [{"name": "name", "organization": "owner", "visibility": "private"}]
    (commit,) = [body for path, body in Hub.asked if "/commit/" in path]
    files = [json.loads(line)["value"] for line in commit.splitlines() if json.loads(line)["key"] == "file"]
    sent = {one["path"]: base64.b64decode(one["content"]) for one in files}
    assert sent["model.safetensors"] == (finished / "run" / "final" / "model.safetensors").read_bytes()
    assert b'folder = snapshot_download("owner/name")' in sent["README.md"]
    assert set(sent) == {
        *("README.md", "recipe.yaml", "config.json", "generation_config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
    assert not (finished / "push" / "aligned").exists()
    refused = push("denied/name")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("lpo-tts: push: denied/name: expected the Hub to take the model, found: ")
    server.shutdown()

"""Identity of components: by the contents of their files, not by their place."""

from lpo_tts.fingerprints import fingerprint


def test_local_weights_are_known_by_their_contents(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("weights")
    one, other = ({"name": "mini", "model": str(tmp_path / name), "batch_size": 3} for name in ("here", "there"))
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one)["model"].startswith("sha256:")
    assert fingerprint(one)["batch_size"] == 3
    (tmp_path / "here" / "model.safetensors").write_text("WEIGHTS")
    assert fingerprint(one) != fingerprint(other)


def test_members_within_members_and_files_of_ones_own_are_seen(tmp_path):
    file = tmp_path / "grammar.jsgf"
    file.write_text("#JSGF V1.0;")
    tree = {
        "metric": {"name": "wer", "recogniser": {"name": "pocketsphinx", "grammar": str(file)}},
        "list": [{"lexicon": str(file)}],
    }
    before = fingerprint(tree)
    assert "sha256:" in before["metric"]["recogniser"]["grammar"]
    assert "sha256:" in before["list"][0]["lexicon"]
    file.write_text("#JSGF V1.1;")
    assert fingerprint(tree) != before


def test_hub_ids_keep_their_revision_and_words_are_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hub = {"model": "org/model", "revision": "abc"}
    assert fingerprint(hub) == hub
    (tmp_path / "eager").mkdir()
    assert fingerprint({"attention": "eager"}) == {"attention": "eager"}
    (tmp_path / "org" / "model").mkdir(parents=True)
    assert set(fingerprint(hub)) == {"model"}, "beside a local folder a revision means nothing"
    assert fingerprint({"grammar": "#JSGF V1.0;\n" + "x" * 5000}) == {"grammar": "#JSGF V1.0;\n" + "x" * 5000}


def test_a_normaliser_is_known_by_its_version():
    tree = {"name": "wer", "normaliser": "whisper-en"}
    assert fingerprint(tree)["normaliser"] == "whisper-en 2"
    assert fingerprint({"normaliser": "own"}) == {"normaliser": "own"}


def test_adapters_and_programs_count_by_their_contents_wherever_they_lie(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_model.safetensors").write_text("weights")
    (tmp_path / "server.py").write_text("codec")
    tree = {"model": "org/model", "revision": "abc", "adapter": "lora", "codec": {"command": ["python", "server.py"]}}
    before = fingerprint(tree)
    assert before["revision"] == "abc", "that of the model, which is no folder"
    assert before["codec"]["command"][0] == "python"
    (tmp_path / "lora" / "adapter_model.safetensors").write_text("WEIGHTS")
    (tmp_path / "server.py").write_text("CODEC")
    assert fingerprint(tree)["adapter"] != before["adapter"]
    assert fingerprint(tree)["codec"] != before["codec"]


def test_how_long_a_part_is_waited_for_does_not_change_what_it_makes():
    codec = {"name": "process", "command": ["server"], "timeout": 600.0, "start_timeout": 900.0}
    assert fingerprint(codec) == fingerprint({**codec, "timeout": 1.0, "start_timeout": 2.0})
    assert fingerprint(codec) != fingerprint({**codec, "command": ["other"]})
    sampling = {"name": "vllm", "gpu_memory_utilization": 0.8, "top_k": 0}
    assert fingerprint(sampling) == fingerprint({**sampling, "gpu_memory_utilization": 0.5})


def test_a_setting_that_came_later_changes_nothing_at_its_old_value():
    before = {"name": "similarity", "encoder": {"name": "ecapa"}}
    assert fingerprint({**before, "to": "original"}) == before
    assert fingerprint({**before, "to": "codec_copy"}) == {**before, "to": "codec_copy"}
    assert fingerprint({"name": "whisper", "dtype": "auto", "convert": None}) == {"name": "whisper", "convert": None}
    assert fingerprint({"name": "flat", "dtype": "auto"}) == {"name": "flat", "dtype": "auto"}, "of another member"

"""Codec servers as processes of their own: the contract, and everything that can go wrong between two processes."""

import gc
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from lpo_tts.codecs import child
from lpo_tts.codecs.base import Codec
from lpo_tts.codecs.process import ProcessCodec
from lpo_tts.codes import Codes
from lpo_tts.engines.local import map_blocks
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.fingerprints import fingerprint
from lpo_tts.recipe import STRUCTURER, load
from lpo_tts.testing import check_codec

ROOT = Path(__file__).parents[2]
MULAW = (sys.executable, str(ROOT / "recipes" / "codec_servers" / "mulaw.py"))
CODES = [Codes((torch.arange(size) % 16,)) for size in (3, 1, 5)]


def faulty(fault, **settings):
    server = (sys.executable, str(Path(__file__).parent / "servers" / "faulty.py"), fault)
    return ProcessCodec(server, **{"timeout": 30.0, "start_timeout": 30.0} | settings)


def pid_of(loaded):
    return loaded._child._process.pid


def gone(pid, seconds=10.0):
    """Whether a process ends within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_the_mu_law_server_keeps_the_contract_of_every_codec():
    check_codec(ProcessCodec(MULAW, batch_size=2, sample_rate=8000, frame_rate=8000.0, codebook_sizes=(256,)))


def test_what_is_decoded_is_what_was_encoded_within_a_step():
    wave = 0.9 * torch.sin(torch.arange(4000) / 7)
    loaded = ProcessCodec(MULAW).load()
    assert (loaded.decode(loaded.encode([wave]))[0] - wave).abs().max() < 0.03
    assert loaded.decode([Codes((torch.tensor([0, 255]),))])[0].tolist() == [-1.0, 1.0]


def test_settings_survive_a_recipe_and_pickle(tmp_path):
    tree = {
        "name": "process",
        "command": ["python", "server.py", "--model", "x"],
        "voice": "a.wav",
        "codebook_sizes": [6561],
        "timeout": 5,
    }
    codec = STRUCTURER.structure(tree, Codec)
    assert codec == ProcessCodec(("python", "server.py", "--model", "x"), "a.wav", timeout=5.0, codebook_sizes=(6561,))
    assert pickle.loads(pickle.dumps(codec)) == codec
    assert STRUCTURER.structure(STRUCTURER.unstructure(codec), Codec) == codec


def test_the_files_of_the_command_and_the_voice_count_by_their_contents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("voice.wav").write_bytes(b"one")
    (tmp_path / "code").mkdir()
    Path("code/server.py").write_text("1")
    tree = STRUCTURER.unstructure(ProcessCodec(("python", "code/server.py"), voice="voice.wav"))
    before = fingerprint(tree)
    Path("voice.wav").write_bytes(b"two")
    between = fingerprint(tree)
    Path("code/server.py").write_text("2")
    assert len({str(one) for one in (before, between, fingerprint(tree))}) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"command": ()}, "command: expected a program and its arguments"),
        ({"command": ("python", "")}, "command: expected a program"),
        ({"command": ("python",), "timeout": 0.0}, "timeout must be above 0"),
        ({"command": ("python",), "codebook_sizes": (0,)}, "codebook_sizes"),
        ({"command": ("python",), "batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ProcessCodec(**settings)


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (ProcessCodec(("no/such/python",)), "cannot start the codec server 'no/such/python': No such file or directory"),
        (ProcessCodec(MULAW, voice="none.wav"), "voice: no such file: 'none.wav'"),
        (ProcessCodec(MULAW, sample_rate=24000), "expected sample_rate 24000, found 8000"),
        (ProcessCodec(MULAW, codebook_sizes=(6561,)), r"expected codebook_sizes \(6561,\), found \(256,\)"),
        (ProcessCodec(MULAW, frame_rate=25.0), "expected frame_rate 25.0, found 8000.0"),
        (faulty("no weights"), "cannot load: FileNotFoundError: weights.bin is not there"),
        (faulty("ends"), r"it ended \(exit status 1\); last on its stderr: no module named torch"),
        (faulty("slow start", start_timeout=0.5), "no answer within 0.5 s; raise `timeout` or `start_timeout`"),
        (faulty("garbage"), "expected a message of the codec protocol on its stdout, found 'Loading model ... done"),
        (faulty("version"), "expected version 1 of the codec protocol, found 99"),
        (faulty("old server"), "the server speaks version 99 of the protocol, lpo-tts version 1"),
        (faulty("no rate"), "hello: expected sample_rate, found None"),
        (faulty("no codebook"), "hello: expected rates and codebook sizes above 0"),
        (faulty("no json"), "expected a header of JSON, found b'hello'"),
        (faulty("huge"), "expected an answer with at most 0 bytes of data, found 2147483648"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_server_that_does_not_start_says_why_in_one_line(codec, message):
    with pytest.raises(ComponentError, match=message) as caught:
        codec.load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", "codes 2: expected finite samples, found NaN or infinity"),
        ("short", r"expected \[12, 4, 20\] samples .* found \[11, 4, 20\] in 140 bytes"),
        ("slow", "no answer within 0.5 s"),
        ("endless", "no answer within 0.5 s.*still at work"),
        ("wrong id", "expected the answer to request 1, found that to 77"),
    ],
)
def test_a_server_that_answers_wrongly_is_named(fault, message):
    with pytest.raises(ComponentError, match=message):
        faulty(fault, timeout=0.5 if fault in ("slow", "endless") else 30.0).load().decode(CODES)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("none", "cannot encode: ValueError: a recording that it does not like"),
        ("wide codes", r"audio 0: code 16 lies outside codebook 0 \(size 16\)"),
        ("lost frame", r"expected \[\[2\]\] frames .* found \[\[1\]\]"),
    ],
)
def test_codes_that_are_none_are_refused(fault, message):
    with pytest.raises(ComponentError, match=message):
        faulty(fault).load().encode([0.1 * torch.ones(5)])


def test_a_request_that_fails_leaves_the_server_alive():
    loaded = faulty("none").load()
    before = pid_of(loaded)
    with pytest.raises(ComponentError, match="does not like"):
        loaded.encode([torch.ones(4)])
    assert loaded.decode(CODES)[1].tolist() == [0.0] * 4
    assert pid_of(loaded) == before


def test_a_server_killed_in_the_midst_is_told_with_its_last_words_and_the_next_call_starts_another():
    loaded = faulty("killed", batch_size=1).load()
    first = pid_of(loaded)
    told = r"it ended \(killed by SIGKILL\); last on its stderr: first line \| something of the second line"
    with pytest.raises(ComponentError, match=told):
        loaded.decode(CODES)
    assert gone(first)
    assert [len(wave) for wave in loaded.decode(CODES[:1])] == [12]
    assert pid_of(loaded) != first


def test_what_libraries_print_goes_to_stderr_and_never_fills_a_pipe():
    assert [len(wave) for wave in faulty("prints").load().decode(CODES)] == [12, 4, 20]


def test_the_voice_reaches_the_server_as_a_path_from_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("me.wav").write_bytes(b"RIFF")
    wave = faulty("voice", voice="me.wav").load().decode(CODES[:1])[0]
    assert wave[0] == len(str(tmp_path / "me.wav"))


def test_a_message_larger_than_any_pipe_passes_both_ways():
    loaded = ProcessCodec(MULAW).load()
    codes = Codes((torch.arange(3_000_000) % 256,))
    wave = loaded.decode([codes])[0]
    assert torch.equal(loaded.encode([wave])[0].levels[0], codes.levels[0])


def test_two_servers_work_side_by_side_and_end_with_their_codecs():
    one, other = ProcessCodec(MULAW).load(), faulty("none").load()
    pids = pid_of(one), pid_of(other)
    assert one.decode(CODES[:1])[0].shape == (3,)
    assert other.decode(CODES[:1])[0].shape == (12,)
    one.close()
    assert gone(pids[0])
    assert other.decode(CODES[:1])[0].shape == (12,)
    del other
    gc.collect()
    assert gone(pids[1])


def shared_worker(loaded):
    def work(block):
        wave = loaded.decode([Codes((torch.full((2,), block),))])[0]
        return pid_of(loaded), os.getpid(), wave

    return work


def worker():
    return shared_worker(ProcessCodec(MULAW).load())


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True], ids=["own", "loaded before the fork"])
def test_every_worker_process_has_a_server_of_its_own(shared):
    here = ProcessCodec(MULAW).load()
    make = partial(shared_worker, here) if shared else worker
    found = list(map_blocks(make, [0, 255, 0, 255, 0, 255], 2, start_method="fork"))
    assert [wave.tolist() for _, _, wave in found] == [[-1.0, -1.0], [1.0, 1.0]] * 3
    assert len({(server, process) for server, process, _ in found}) == len({process for _, process, _ in found})
    assert pid_of(here) not in {server for server, _, _ in found}
    assert all(gone(server) for server, _, _ in found)
    assert here.decode(CODES[:1])[0].shape == (3,)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["none", "slow"])
def test_a_server_ends_when_its_parent_is_killed(fault):
    program = (
        "import sys, torch; from lpo_tts.codecs.process import ProcessCodec; from lpo_tts.codes import Codes\n"
        f"loaded = ProcessCodec({faulty(fault).command!r}).load(); print(loaded._child._process.pid, flush=True)\n"
        + ("loaded.decode([Codes((torch.zeros(2).long(),))])" if fault == "slow" else "sys.stdin.read()")
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.3)
        parent.kill()
        parent.wait()
        assert gone(pid)


@pytest.mark.slow
def test_a_server_ends_with_the_process_that_forgot_it():
    program = (
        "from lpo_tts.codecs.process import ProcessCodec\n"
        f"loaded = ProcessCodec({MULAW!r}).load(); print(loaded._child._process.pid)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert gone(int(ran.stdout))
    assert ran.stderr == ""


def test_an_interrupt_in_the_midst_of_a_request_ends_the_server():
    loaded = faulty("slow").load()
    pid = pid_of(loaded)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            loaded.decode(CODES)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert gone(pid)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "options", "message"),
    [
        ("distilcodec", ("--repo", "none", "--model", "none"), "ModuleNotFoundError: No module named 'distil_codec'"),
        ("chatterbox", (), "ValueError: expected a reference recording, found none; set `voice`"),
        ("cosyvoice3", ("--repo", "none", "--model", "none"), "ValueError: expected a reference recording, found none"),
    ],
)
def test_a_worked_example_says_what_it_lacks(server, options, message):
    command = (sys.executable, str(ROOT / "recipes" / "codec_servers" / f"{server}.py"), *options)
    with pytest.raises(ComponentError, match=message) as caught:
        ProcessCodec(command).load()
    assert "cannot load" in str(caught.value)


def test_the_commands_of_recipes_are_ones_that_their_servers_take():
    """A server whose input ends before the first message ends with it; one that misses an option ends with 2."""
    found = []
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        codec = load(path).codec
        for one in (codec, getattr(codec, "decoder", None)):
            if isinstance(one, ProcessCodec) and (ROOT / one.command[1]).is_file():
                command = [sys.executable, *one.command[1:]]
                ran = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
                assert (ran.returncode, ran.stderr) == (0, ""), path.name
                found.append(path.stem)
    assert found == ["cosyvoice3", "unitts"]


def test_a_server_that_bears_the_name_of_its_package_does_not_import_itself(tmp_path):
    (tmp_path / "serve.py").write_bytes((ROOT / "recipes" / "codec_servers" / "serve.py").read_bytes())
    server = tmp_path / "package_of_nobody.py"
    server.write_text("from serve import serve\ndef load(device, voice):\n    import package_of_nobody\nserve(load)\n")
    with pytest.raises(ComponentError, match="No module named 'package_of_nobody'"):
        ProcessCodec((sys.executable, str(server))).load()


def test_both_sides_of_the_protocol_and_the_page_name_one_version():
    side = (ROOT / "recipes" / "codec_servers" / "serve.py").read_text(encoding="utf-8")
    assert re.search(r"^PROTOCOL = (\d+)", side, re.MULTILINE)[1] == str(child.PROTOCOL)  # type: ignore[index]
    page = (ROOT / "docs" / "extend" / "codec.md").read_text(encoding="utf-8")
    assert f'"protocol": {child.PROTOCOL}' in page

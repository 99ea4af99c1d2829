"""A run that is killed, or meets a full disk, goes on where it was; the result is that of one that was never interrupted."""

import errno
import os

import pytest

from lpo_tts import audio
from lpo_tts.artefacts import Provenance
from lpo_tts.engines.local import fork_is_safe
from lpo_tts.errors import ArtefactError, ComponentError, exit_code
from lpo_tts.manifests import resuming, writing
from lpo_tts.manifests.options import Options
from lpo_tts.manifests.recordings import Dropped, Recording
from lpo_tts.manifests.writing import write
from tests.manifests.made import contents

PROVENANCE = Provenance("test", {"seed": 0}, {"table": "0"})


@pytest.fixture
def corpus(tmp_path, record):
    """60 recordings, of which some are broken, missing, too short, or have an id of another one."""
    found = []
    for k in range(60):
        path = tmp_path / "raw" / f"{k:02d}.wav"
        if k % 10 == 3:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"broken")
        elif k % 10 != 5:
            record(path, 0.2 if k % 10 == 7 else 0.6)
        found.append(Recording(id=f"u{k if k != 41 else 0}", audio=path, text=f"sentence {k // 2}", speaker=f"s{k % 3}"))
    return [*found[:20], Dropped(id="line 20", reason="two fields"), *found[20:]]


def options(folder_, **changes):
    return Options(**{"out": folder_ / "manifest.jsonl", "max_failed": 0.5, "allow_missing": True, "dev": 0.2, **changes})


class Stop(Exception):
    pass


def until(found, count):
    """Rows of which the one at `count` ends the run."""
    for number, one in enumerate(found):
        if number == count:
            raise Stop
        yield one


@pytest.fixture
def noted_at_once(monkeypatch):
    """Notes after every row, on a disk that is fast."""
    monkeypatch.setattr(resuming, "NOTE_EVERY", -1.0)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.usefixtures("noted_at_once")
@pytest.mark.parametrize("workers", [0, 2])
def test_interrupted_anywhere_and_resumed_is_uninterrupted_byte_for_byte(tmp_path, corpus, monkeypatch, capfd, workers):
    write(corpus, options(tmp_path / "whole"), PROVENANCE)
    add = resuming.Tables.add
    for count in (0, 1, 16, 33, 60):

        def stop(self, result, count=count):
            if self.done == count:
                raise Stop
            return add(self, result)

        monkeypatch.setattr(resuming.Tables, "add", stop)
        with pytest.raises(Stop):
            write(corpus, options(tmp_path / "cut", workers=workers), PROVENANCE)
    monkeypatch.setattr(resuming.Tables, "add", add)
    capfd.readouterr()
    said = write(corpus, options(tmp_path / "cut", workers=workers), PROVENANCE)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert "goes on after 60 recordings" in capfd.readouterr().err
    assert "41 utterances" in said
    assert "left out by duration 6, missing 6" in said
    assert sorted(os.listdir(tmp_path / "cut")) == ["manifest.failed.jsonl", "manifest.jsonl", "manifest.jsonl.meta.json"]


@pytest.mark.usefixtures("noted_at_once")
def test_nothing_is_decoded_twice(tmp_path, corpus, monkeypatch):
    asked = []
    measure = audio.measure
    monkeypatch.setattr(audio, "measure", lambda path, each=None: asked.append(path) or measure(path, each))
    for count in (20, 40):
        with pytest.raises(Stop):
            write(until(corpus, count), options(tmp_path / "out"), PROVENANCE)
    write(corpus, options(tmp_path / "out"), PROVENANCE)
    assert len(asked) == len(set(asked)) == 53


@pytest.mark.usefixtures("noted_at_once")
@pytest.mark.parametrize(
    ("provenance", "found", "why"),
    [
        (Provenance("test", {"seed": 1}, {"table": "0"}), lambda corpus: corpus, "settings.seed: 0 -> 1"),
        (Provenance("test", {"seed": 0}, {"table": "1"}), lambda corpus: corpus, "inputs.table: '0' -> '1'"),
        (PROVENANCE, lambda corpus: corpus[1:], "the corpus holds other recordings than then"),
        (PROVENANCE, lambda corpus: corpus[:5], "the corpus holds other recordings than then"),
    ],
)
def test_other_settings_inputs_or_recordings_start_anew_and_say_so(tmp_path, corpus, capfd, provenance, found, why):
    with pytest.raises(Stop):
        write(until(corpus, 40), options(tmp_path / "cut"), PROVENANCE)
    write(found(corpus), options(tmp_path / "cut"), provenance)
    assert f"an unfinished run cannot go on: {why}; it starts anew" in capfd.readouterr().err
    write(found(corpus), options(tmp_path / "whole"), provenance)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("noted_at_once")
@pytest.mark.parametrize("harm", ["progress", "rows", "failed", "torn"])
def test_what_is_left_of_a_run_may_be_harmed(tmp_path, corpus, capfd, harm):
    out = tmp_path / "cut"
    with pytest.raises(Stop):
        write(until(corpus, 40), options(out), PROVENANCE)
    if harm == "progress":
        (out / "manifest.jsonl.progress.json").write_text("{")
    elif harm == "torn":
        with (out / "manifest.jsonl.partial").open("a") as file:
            file.write('{"id": "to')
    else:
        (out / {"rows": "manifest.jsonl.partial", "failed": "manifest.failed.jsonl.partial"}[harm]).unlink()
    write(corpus, options(out), PROVENANCE)
    said = capfd.readouterr().err
    why = {"progress": "manifest.jsonl.progress.json cannot be read", "torn": "goes on after 32"}.get(harm, "no longer there")
    assert why in said
    write(corpus, options(tmp_path / "whole"), PROVENANCE)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.usefixtures("noted_at_once")
def test_a_disk_that_is_full_at_any_moment_is_one_line_and_costs_nothing(tmp_path, corpus, monkeypatch, capfd):
    found = corpus[:24]
    write(found, options(tmp_path / "whole"), PROVENANCE)
    fsync, left = os.fsync, [0]

    def full(descriptor):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    capfd.readouterr()
    code, allowed = 2, 0
    while code == 2:  # so many writes succeed, and then none; each time the run goes on with one more
        left[0] = allowed = allowed + 1
        code = exit_code("corpus", lambda: len(write(found, options(tmp_path / "cut"), PROVENANCE)) * 0)
        said = [line for line in capfd.readouterr().err.splitlines() if "goes on after" not in line]
        assert len(said) == (code == 2), said
        assert not said or "No space left on device; free space, then run again" in said[0]
    assert allowed > 3
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize("moment", ["rows", "finish"])
def test_a_kill_while_the_tables_get_their_names_costs_nothing(tmp_path, corpus, monkeypatch, capfd, moment):
    target = (resuming._Table, "finish") if moment == "rows" else (writing.Artefact, "finish")
    before = getattr(*target)

    def die(self, *given, **named):
        if moment == "finish" or not self.path.name.endswith(".failed.jsonl"):
            raise Stop
        before(self, *given, **named)

    monkeypatch.setattr(*target, die)
    with pytest.raises(Stop):
        write(corpus, options(tmp_path / "cut"), PROVENANCE)
    monkeypatch.setattr(*target, before)
    write(corpus, options(tmp_path / "cut"), PROVENANCE)
    assert "goes on after 61 recordings" in capfd.readouterr().err
    write(corpus, options(tmp_path / "whole"), PROVENANCE)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_larger_max_failed_takes_what_was_examined_and_the_same_tries_again(tmp_path, corpus, record, capfd):
    out = tmp_path / "out"
    with pytest.raises(ArtefactError, match=r"8 of 49 rows failed, .*or give a larger --max-failed: then nothing is read again"):
        write(corpus, options(out, max_failed=0.1), PROVENANCE)
    assert (out / "manifest.failed.jsonl").exists()
    write(corpus, options(out, max_failed=0.3), PROVENANCE)
    assert "goes on after 61 recordings" in capfd.readouterr().err
    write(corpus, options(tmp_path / "whole", max_failed=0.3), PROVENANCE)
    assert contents(out) == contents(tmp_path / "whole")

    with pytest.raises(ArtefactError):
        write(corpus, options(out, max_failed=0.1), PROVENANCE)
    for k in range(3, 60, 10):
        record(tmp_path / "raw" / f"{k:02d}.wav", 0.6)  # mended
    said = write(corpus, options(out, max_failed=0.1), PROVENANCE)
    assert "47 utterances" in said
    assert "2 failed" in said


@pytest.mark.usefixtures("noted_at_once")
def test_a_worker_that_dies_is_one_line_and_costs_nothing(tmp_path, corpus, monkeypatch, capfd):
    if not fork_is_safe():
        pytest.skip("workers would be spawned, and not know of the change to this process")
    measure, victim = audio.measure, corpus[50].audio  # the recording that the decoder does not survive
    monkeypatch.setattr(audio, "measure", lambda path, each=None: os._exit(9) if path == victim else measure(path, each))
    with pytest.raises(ComponentError, match=r"lpo-tts worker \d .* died with exit code 9 at block 3"):
        write(corpus, options(tmp_path / "cut", workers=2), PROVENANCE)
    monkeypatch.setattr(audio, "measure", measure)
    write(corpus, options(tmp_path / "cut", workers=2), PROVENANCE)
    write(corpus, options(tmp_path / "whole"), PROVENANCE)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_line_now_and_then_where_there_is_no_terminal(tmp_path, corpus, monkeypatch, capfd):
    monkeypatch.setattr(writing, "TELL_EVERY", 0.0)
    write(corpus, options(tmp_path), PROVENANCE)
    lines = capfd.readouterr().err.splitlines()
    assert ": 1 recordings, 1 kept, 0 failed, 0 left out; " in lines[0]
    assert len(lines) == 61

"""The run of any size at a small one: a killed worker costs no row, and the report says what does not hold."""

import json

import pytest

from benchmarks import scale
from benchmarks.scaling.watch import Look


def looks(seconds, rows=90_000, stage="score"):
    """A run that takes so many seconds for each eighth of the rows behind the first tenth."""
    found, at, done = [Look(0.0, 0.0, dict.fromkeys(scale.STAGES, 0.0))], 1.0, 9_000.0
    found.append(Look(at, 2 * at, {**found[0].rows, stage: done}))
    for one in seconds:
        at, done = at + one, done + (rows - 9_000) / len(seconds)
        found.append(Look(at, 2 * at, {**found[0].rows, stage: done}))
    return found


def test_windows_behind_the_first_rows_and_the_one_of_the_kill_apart():
    found = scale.per_row(looks([8.0] * 8), "score", 90_000, None)
    assert found == {"wall_us": [790.1] * 8, "cpu_us": pytest.approx([1580.2] * 8)}
    found = scale.per_row(looks([8.0, 8.0, 18.0, 8.0, 8.0, 8.0, 8.0, 8.0]), "score", 90_000, 31_000)
    assert found["wall_us"] == [790.1] * 7
    assert found["kill_cost_s"] == [10.0, 20.0]
    assert scale.per_row(looks([8.0] * 8), "sample", 90_000, None) == {"wall_us": [], "cpu_us": []}


def figures(**changes):
    """What one engine's run gives."""
    flat = {"wall_us": [100.0, 150.0], "cpu_us": [100.0, 110.0]}
    rows = dict.fromkeys(("candidates", "candidates, different", "scores-errors"), 80) | {"pairs": 7}
    found = {"engine": "local", "prompts": 10, "kills": {}, "exits": [0], "peak_mib": {"driver": 600}}
    return found | {"stages": dict.fromkeys(scale.STAGES, flat), "rows": rows, "digests": {"pairs.jsonl": "a"}} | changes


def test_the_report_says_what_holds_and_what_does_not():
    lines = "\n".join(scale.report([figures(), figures(engine="ray")]))
    assert "| local | sample | 125 | 105 | 1.50 | 1.10 |" in lines
    assert "local: most memory of a process: driver 600 MiB (below 1024 MiB)" in lines
    assert "ray: every row once" in lines
    assert "local and ray: tables equal byte for byte" in lines
    steep = {"wall_us": [100.0, 150.0], "cpu_us": [100.0, 130.0]}
    bad = figures(
        engine="ray", stages=dict.fromkeys(scale.STAGES, steep), peak_mib={"worker": 2000}, digests={"pairs.jsonl": "b"}
    )
    bad["rows"]["scores-errors"] = 79
    lines = "\n".join(scale.report([figures(), bad]))
    for words in ("1.30 NOT flat", "worker 2000 MiB (ABOVE 1024 MiB)", "ray: ROWS LOST OR DOUBLED", "tables DIFFER"):
        assert words in lines


@pytest.mark.slow
def test_a_small_run_survives_its_kills(tmp_path, capsys):
    scale.main(["--prompts", "1500", "--engines", "local", "--out", str(tmp_path)])
    (found,) = json.loads((tmp_path / "scale.json").read_text())
    assert found["exits"][-1] == 0
    assert set(found["rows"].values()) - {found["rows"]["pairs"]} == {12_000}
    assert found["rows"]["pairs"] > 1000
    assert "local: every row once" in capsys.readouterr().out

"""The program of the evaluation on a world of tests: its exit code, and the report it has written."""

import json

from evaluation.evaluate import main

ASR = "exact=echo:EchoRecogniser"
TEXTS = {f"u{k}": f"gate number {word} now" for k, word in enumerate(["one", "two", "three", "four", "five", "six"])}


def evaluate(world, *more, systems=("new",), rows="list.jsonl", resamples=1000):
    """Judges folders of the world by their names; a system is named after its folder."""
    given = [part for name in systems for part in ("--system", f"{name}={world / name}")]
    arguments = [*given, "--list", world / rows, "--out", world / "out", "--asr", ASR, "--num-resamples", resamples]
    code = main([str(one) for one in (*arguments, *more)])
    path = world / "out" / "report" / "report.json"
    return code, json.loads(path.read_text()) if path.exists() else None


def assert_one_line(capsys, *words):
    """The program said one line of its own on stderr, with these words, and nothing of Python's."""
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("evaluate: ")]) == 1, lines
    assert not any("Traceback" in line for line in lines)
    for word in words:
        assert word in lines[-1]

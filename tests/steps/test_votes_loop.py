"""Listening closes the loop: answers to the demo's test on candidates become pairs, and a model is trained on them."""

import json

import pytest

from lpo_tts import artefacts, cli, recipe
from lpo_tts.records import Comparison, PreferencePair, Prompt
from lpo_tts.steps.candidates import iterate_candidates
from tests.demo.listening.simulated import Clock

pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")


@pytest.fixture(scope="module")
def sampled(tiny, tmp_path_factory):
    """A run up to its scores: (recipe file, folder)."""
    out = tmp_path_factory.mktemp("heard") / "out"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", "--until", "score", "--quiet"]) == 0
    return tiny / "recipe.yaml", out


def listen(path, out, answers, names, trials):
    """Listeners who prefer the shorter one of two candidates, and pass their catch trials; returns what they preferred."""
    from demo.listening.design import Design
    from demo.listening.items import candidate_items
    from demo.listening.sittings import Sittings, Standing, Test
    from demo.listening.store import Store

    settings = recipe.load(path, [f"out={out}"])
    run = settings.run()
    prompts = {row.id: row for row in artefacts.read_rows(run.prompts_path, Prompt)}
    codec = settings.codec.load("cpu")
    frames = {row.id: row.num_frames for row in iterate_candidates(run.candidates_path)}
    items = candidate_items(run, prompts, lambda: codec)
    design = Design("pairs", "ab", "words", "candidates", trials_per_listener=trials, catch_share=0.2)
    clock, preferred = Clock(), {}
    with Store(answers, clock) as store:
        sittings = Sittings([Test(design, items)], store)
        for name in names:
            token = sittings.enter(name, None, "pairs").listener.token
            while not isinstance(step := sittings.next(token, "pairs"), Standing):
                content = step.shown.content
                lengths = [frames[side.candidate_id] for side in content.sides]
                answer = "tie" if lengths[0] == lengths[1] else "AB"[lengths.index(min(lengths))]
                if content.catch == "worse":
                    answer = next(side.label for side in content.sides if not side.damage)
                elif content.catch == "same":
                    answer = "tie"
                else:
                    ids = frozenset(side.candidate_id for side in content.sides)
                    preferred[ids] = "" if answer == "tie" else content.sides["AB".index(answer)].candidate_id
                clock.now += 3600
                for label in content.labels:
                    sittings.clip(step.shown.id, label)
                sittings.answer(token, step.shown.id, answer, content.seconds, content.labels)
    return preferred


@pytest.mark.slow
def test_a_model_is_trained_on_what_listeners_prefer(sampled, tmp_path, capsys):
    from demo import results

    path, out = sampled
    preferred = listen(path, out, tmp_path / "listening.sqlite", [f"listener {k}" for k in range(6)], 24)
    assert len([one for one in preferred.values() if one]) > 20
    table = tmp_path / "votes.jsonl"
    assert results.main([str(tmp_path / "listening.sqlite"), "--votes", str(table)]) == 0
    shown = capsys.readouterr()
    assert "votes written to" in shown.err
    assert "two listeners agree in 100 %" in shown.out
    votes = artefacts.read_rows(table, Comparison)
    assert {row.judge for row in votes} == {f"listener {k}" for k in range(6)}
    assert len(votes) == 6 * 24
    for row in votes:
        winner = row.outcome[0] if row.outcome else ""
        assert winner == preferred[frozenset((row.first, row.second))]

    rule = f"pair.rules=[{{rule: {{name: votes, path: {table}}}, pairs_per_prompt: 3, max_uses: 2}}]"
    arguments = ["run", str(path), f"out={out}", rule, "train.epochs=1", "--until", "train", "--quiet"]
    assert cli.main(arguments) == 0
    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    assert len(pairs) > 5
    for pair in pairs:
        assert preferred[frozenset((pair.chosen, pair.rejected))] == pair.chosen
    known = {row.id: row for row in iterate_candidates(out / "candidates")}
    assert all(known[pair.chosen].num_frames < known[pair.rejected].num_frames for pair in pairs)
    assert (out / "run" / "final" / "model.safetensors").exists()
    assert any("loss" in json.loads(line) for line in (out / "run" / "metrics.jsonl").read_text().splitlines())
    assert artefacts.content_hash(out / "run" / "final" / "model.safetensors") != artefacts.content_hash(
        path.parent / "model" / "model.safetensors"
    )

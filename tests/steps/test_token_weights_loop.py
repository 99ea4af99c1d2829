"""Token weights from a recipe: the table that pair makes, what reads it, what is refused, and that it reaches the loss."""

import json
import math
import shutil

import pytest
import torch

from lpo_tts import artefacts, cli, recipe
from lpo_tts.lm.logps import Wanted
from lpo_tts.losses.lpo import LPOSTE
from lpo_tts.records import Candidate, LabelledCandidate, PreferencePair, Score, TokenWeights
from lpo_tts.steps.check import problems
from lpo_tts.steps.examples import training_examples
from lpo_tts.training.batch import collate
from lpo_tts.training.reference import ReferenceLogps, compute_reference
from lpo_tts.training.scoring import Scorer

WORDS = "score.metrics.words={name: wer, times: true, recogniser: {name: 'ears:HashRecogniser'}}"
WEIGHTS = "pair.weights={metric: words, margin: 0}"
RATE = 50.0  # of the shipped codec
# Which candidates there are hangs on the processor's rounding: among so many, some rejected ones begin well on any of them.
MANY = (
    "sample.num_candidates=32",
    "pair.rules=[{rule: {name: best_worst}, min_gap: 0.1, pairs_per_prompt: 24}]",
    "pair.dev_share=0",
)


@pytest.fixture(scope="module")
def paired(tiny, tmp_path_factory):
    """A run folder up to its pairs and weights, that tests copy."""
    out = tmp_path_factory.mktemp("weighed") / "out"
    path = tiny / "recipe.yaml"
    assert cli.main(["run", str(path), f"out={out}", WORDS, *MANY, WEIGHTS, "--until", "pair", "--quiet"]) == 0
    return path, out


@pytest.fixture
def start(paired, tmp_path):
    path, out = paired
    shutil.copytree(out, tmp_path / "out")
    given = [str(path), f"out={tmp_path / 'out'}", WORDS, *MANY]

    def run(*overrides, until="train"):
        return cli.main(["run", *given, *overrides, "--until", until, "--quiet"])

    return run, tmp_path / "out", lambda *overrides: recipe.load(given[0], [*given[1:], *overrides])


def rows(out, name="weights.jsonl"):
    return list(artefacts.iterate_rows(out / name, TokenWeights, unique=False))


@pytest.mark.slow
def test_the_table_says_when_the_rejected_were_wrong(paired):
    """Weights worked out again, frame by frame, from the times of the judge."""
    _, out = paired
    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    scores = {score.candidate_id: score for score in artefacts.read_rows(out / "scores-words.jsonl", Score)}
    parts = sorted((out / "candidates").glob("*.jsonl"))
    frames = {row.id: row.num_frames for part in parts for row in artefacts.read_rows(part, Candidate)}
    found = {(row.preference, row.candidate_id): row for row in rows(out)}
    assert set(found) == {(pair.id, pair.rejected) for pair in pairs}
    checked = 0
    for pair in pairs:
        row, spots = found[pair.id, pair.rejected], scores[pair.rejected].detail["spots"]
        assert row.rest == 0
        weights = torch.zeros(frames[pair.rejected] + 1)
        for first, end, weight in row.spans:
            weights[first:end] = weight
        if spots[-1][0] in ("deletion", "insertion"):
            assert row.spans[-1][1] is None  # to the end
        if any(kind == "insertion" for kind, *_ in spots):
            continue  # whether it is a repetition is for tests/steps/test_faults.py
        for kind, _, _, from_, to in spots:
            inside = weights[math.floor(from_ * RATE + 1e-6) : math.ceil(to * RATE - 1e-6)]
            if kind == "substitution":
                assert bool((inside == 1).all())
                checked += 1
        if all(kind in ("hit", "substitution") for kind, *_ in spots):
            hit = sum(to - from_ for kind, _, _, from_, to in spots if kind == "hit")
            assert abs(float((weights[:-1] == 0).sum()) - hit * RATE) < 1 + 2 * len(spots)
    assert checked
    counts = artefacts.read_json(out / "weights.jsonl.meta.json")["counts"]
    assert counts == {"rows": len(pairs), "weighed": len(pairs)}


@pytest.mark.slow
def test_other_weights_leave_the_pairs_and_a_lost_table_comes_again(start, capsys):
    run, out, _ = start
    pairs, before = (artefacts.content_hash(out / name) for name in ("pairs.jsonl", "weights.jsonl"))
    when = (out / "pairs.jsonl").stat().st_mtime_ns
    (out / "weights.jsonl").unlink()
    assert run(WEIGHTS, until="pair") == 0
    assert artefacts.content_hash(out / "weights.jsonl") == before
    soft = "pair.weights={metric: words, outside: 0.3, sides: both}"
    assert run(soft, until="pair") == 2
    assert "weights.jsonl was made with other settings" in (told := capsys.readouterr().err)
    assert "pairs.jsonl was made" not in told
    (out / "weights.jsonl.meta.json").unlink()
    (out / "weights.jsonl").unlink()
    assert run(soft, until="pair") == 0
    assert {row.rest for row in rows(out)} == {0.3}
    assert len(rows(out)) > len(artefacts.read_rows(out / "pairs.jsonl", PreferencePair))
    assert (artefacts.content_hash(out / "pairs.jsonl"), (out / "pairs.jsonl").stat().st_mtime_ns) == (pairs, when)


@pytest.mark.slow
def test_only_the_tokens_inside_move_the_loss(start):
    """LPO on the weighted log-ratios, and no gradient at the logits of a token outside."""
    _, _, load = start
    run = load(WEIGHTS).run()
    (system,) = run.recipe.systems.values()
    train, _ = training_examples(run, system)
    example = next(one for one in train if bool((one.rejected_weights == 0).any()))
    assert example.chosen_weights is None
    lm = run.backbone.load()
    reference = compute_reference(lm, [example], tokens=True)
    with torch.no_grad():  # a policy that is another model than the reference
        for weight in lm.module.parameters():
            weight.mul_(1.05)
    logits = []

    def keep(module, given, made):
        made.retain_grad()
        logits.append(made)

    hook = lm.module.get_output_embeddings().register_forward_hook(keep)
    batch = collate([example], pack=False)
    kept = reference.take([example.id])
    batch["reference"] = {"total": kept.total, "num_tokens": kept.num_tokens, "tokens": kept.tokens}
    loss = LPOSTE(beta=0.2, gamma=0.1, r2=0.4)
    scored = Scorer(loss, "full", "fp32").score(lm, batch)
    scored.losses.sum().backward()
    hook.remove()
    policy = lm.logps(collate([example], pack=False), Wanted(tokens=True, head="full"))
    inside = example.rejected_weights.flatten().bool()
    count, before = len(inside), len(example.prompt_ids)
    with torch.no_grad():
        plain = lm.logps({k: v for k, v in collate([example], pack=False).items() if k != "weights"}, Wanted(tokens=True))
        difference = plain.tokens[1, :count] - kept.tokens[1, :count]
    assert float(scored.log_ratios[1]) == pytest.approx(float(difference[inside].mean()), abs=1e-5)
    assert float(policy.num_tokens[1]) == int(inside.sum()) < count
    found = logits[0].grad[1, before - 1 : before - 1 + count]
    assert not bool(found[~inside].any())
    assert bool(found[inside].any(1).all())
    chosen = logits[0].grad[0, before - 1 : before - 1 + len(example.chosen_ids)]
    assert bool(chosen.any(1).all())


@pytest.mark.slow
def test_a_training_with_weights_goes_another_way_and_on_after_a_stop(start):
    run, out, _ = start
    short = ("train.epochs=0.4",)
    # Word by word and on both sides: of a rejected answer that is wrong from its first word on, every token counts anyway.
    assert run("pair.weights={metric: words, margin: 0, onset_to_end: false, sides: both}", *short, "--redo", "pair") == 0
    steps = [json.loads(line) for line in (out / "run" / "metrics.jsonl").read_text().splitlines()]
    assert sum("loss" in step for step in steps) >= 2
    assert abs(steps[0]["log_ratios/rejected"]) < 1e-3  # policy and reference are weighed alike
    assert ReferenceLogps.load(out / "reference.safetensors").tokens is not None
    assert "weights" in artefacts.read_json(out / "run.meta.json")["inputs"]
    weighed = artefacts.content_hash(out / "run" / "final")
    assert run(*short, "--redo", "reference") == 0
    assert artefacts.content_hash(out / "run" / "final") != weighed


@pytest.mark.slow
def test_tkto_reads_the_table_as_importance_from_pairs_and_labels(start):
    run, out, load = start
    tkto = ("train.loss.name=tkto", "train.micro_batch_size=2", "pair.weights={metric: words, outside: 0.2}")
    assert run(*tkto, "--redo", "pair") == 0
    loaded = load(*tkto).run()
    pairs, _ = training_examples(loaded, loaded.recipe.systems["aligned"])
    assert all(pair.weights == (None, None) and pair.chosen_importance is None for pair in pairs)
    assert {round(float(w), 3) for pair in pairs for w in pair.rejected_importance.unique()} == {0.2, 1.0}
    labels = "pair.rules=[{rule: {name: labelled, max_desirable: 0.8, min_undesirable: 0.9}, min_gap: 0.05}]"
    assert run(*tkto, labels, "--redo", "pair") == 0
    loaded = load(*tkto, labels).run()
    answers, held = training_examples(loaded, loaded.recipe.systems["aligned"])
    assert len(answers) + len(held) == len(artefacts.read_rows(out / "labels.jsonl", LabelledCandidate))
    assert {one.desirable for one in answers} == {True, False}
    assert all((one.answer_importance is None) == one.desirable for one in answers)


@pytest.mark.slow
def test_a_table_of_ones_own(start, tmp_path, capsys):
    run, out, load = start
    own = tmp_path / "own.jsonl"
    pair = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)[0]
    artefacts.write_rows(own, [TokenWeights(candidate_id=pair.chosen, spans=((0, 1, 3.0),), rest=1.0)])
    loaded = load(f"train.token_weights={own}").run()
    train, dev = training_examples(loaded, loaded.recipe.systems["aligned"])
    weighed = [one for one in (*train, *dev) if one.chosen_weights is not None]
    assert pair.id in {one.id for one in weighed}
    assert all(one.chosen_weights.flatten().tolist()[:2] == [3, 1] for one in weighed if one.id == pair.id)
    artefacts.write_rows(own, [TokenWeights(candidate_id="nobody#0", rest=2.0)])
    assert run(f"train.token_weights={own}") == 2
    assert "own.jsonl: no candidate 'nobody#0' in this run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((WORDS, WEIGHTS, "train.loss.name=ld-dpo"), "pair.weights: LDDPO counts on the places of tokens"),
        ((WORDS, WEIGHTS, "train.loss.name=lipo"), "pair.weights: LiPO learns from lists, whose tokens have no weights"),
        (("pair.weights={metric: wer}",), "wer does not say when each word was heard; set score.metrics.wer.times to true"),
        (("pair.weights={metric: words}",), "pair.weights.metric: 'words' is not scored by this recipe"),
        (("train.token_weights=nowhere.jsonl",), "train.token_weights: no file nowhere.jsonl"),
        ((WORDS, WEIGHTS, "train.token_weights=nowhere.jsonl"), "both say what tokens weigh; choose one"),
        ((WORDS, WEIGHTS, "train.loss.name=tkto"), ""),
    ],
)
def test_what_does_not_go_together_is_refused_before_work(tiny, overrides, message):
    run = recipe.load(tiny / "recipe.yaml", overrides).run()
    found = problems(run, ("pair", "reference", "train"), ())
    assert [message in one for one in found] == [True] * bool(message), found


@pytest.mark.slow
def test_check_says_what_will_be_made(tiny, capsys):
    assert cli.main(["check", str(tiny / "recipe.yaml"), "out=nowhere", WORDS, WEIGHTS]) == 0
    out = capsys.readouterr().out
    assert "token weights of aligned: nowhere/weights.jsonl, made by pair from score words; LPOSTE reads them as weights" in out

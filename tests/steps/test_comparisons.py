"""Pairwise judges in a run: which pairs are asked, their tables, and the pairs that rules make of them."""

import json
import shutil

import pytest
import yaml

from lpo_tts import artefacts, cli
from lpo_tts.comparers.metric import MetricComparer
from lpo_tts.errors import ConfigError
from lpo_tts.metrics.duration import Duration
from lpo_tts.records import Candidate, Comparison, PreferencePair
from lpo_tts.steps import comparisons
from lpo_tts.steps.candidates import iterate_candidates
from lpo_tts.steps.comparisons import Asked, ComparisonSettings
from tests.judge_server import Reply, serving

SHORTER = "{comparer: {name: metric, metric: {name: duration}}}"  # of less is better
PREFERRED = "pair.rules=[{rule: {name: preferred, comparison: judge}, pairs_per_prompt: 2}]"


@pytest.fixture(scope="module")
def sampled(tiny, tmp_path_factory):
    """A run up to its scores, with comparisons and pairs by them: (arguments, folder)."""
    out = tmp_path_factory.mktemp("compared") / "out"
    arguments = [str(tiny / "recipe.yaml"), f"out={out}", f"score.comparisons.judge={SHORTER}", PREFERRED]
    assert cli.main(["run", *arguments, "--until", "pair", "--quiet"]) == 0
    return arguments, out


@pytest.fixture
def run(sampled, tmp_path):
    """A copy that a test may spoil: (arguments, folder)."""
    arguments, out = sampled
    shutil.copytree(out, tmp_path / "out")
    return [arguments[0], f"out={tmp_path / 'out'}", *arguments[2:]], tmp_path / "out"


def candidates(out):
    return {row.id: row for row in iterate_candidates(out / "candidates")}


def table(out, name="judge"):
    return artefacts.read_rows(out / f"comparisons-{name}.jsonl", Comparison)


def counts(out, name):
    return artefacts.read_json(out / f"{name}.meta.json")["counts"]


def test_every_two_finished_candidates_are_compared_and_the_preferred_ones_become_pairs(sampled):
    _, out = sampled
    rows, known = table(out), candidates(out)
    usable: dict[str, list[str]] = {}
    for row in known.values():
        if row.finished and row.num_frames:
            usable.setdefault(row.prompt_id, []).append(row.id)
    wanted = {frozenset((one, other)) for ids in usable.values() for one in ids for other in ids if one != other}
    assert {frozenset((row.first, row.second)) for row in rows} == wanted
    assert len(rows) == len(wanted) > 10
    for row in rows:
        gap = known[row.first].num_frames - known[row.second].num_frames
        assert row.preferred == ("tie" if gap == 0 else "first" if gap < 0 else "second")
        assert (row.judge, row.prompt_id) == ("judge", known[row.first].prompt_id)
        assert row.detail["contradiction"] is False
    told = counts(out, "comparisons-judge.jsonl")
    assert told["rows"] == len(rows)
    assert told["ties"] == sum(row.preferred == "tie" for row in rows)
    assert (told["contradictions"], told["unscorable"]) == (0, 0)

    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    outcomes = {row.outcome for row in rows}
    assert all((pair.chosen, pair.rejected) in outcomes for pair in pairs)
    assert all(pair.margins == {} for pair in pairs)
    longest = {ids[0]: max(known[one].num_frames for one in ids) - min(known[one].num_frames for one in ids)
               for ids in usable.values() if len(ids) > 1}  # fmt: skip
    assert len({pair.prompt_id for pair in pairs}) == sum(gap > 0 for gap in longest.values())
    assert artefacts.read_json(out / "pairs.jsonl.meta.json")["inputs"].keys() >= {"candidates", "comparisons-judge"}
    dropped = counts(out, "pairs.jsonl")["dropped"]["preferred"]
    assert dropped.get("tie", 0) == told["ties"]


@pytest.mark.slow
def test_workers_change_nothing(sampled, run):
    arguments, out = run
    before = artefacts.content_hash(out / "comparisons-judge.jsonl")
    assert before == artefacts.content_hash(sampled[1] / "comparisons-judge.jsonl")
    again = [*arguments, "engine.workers=2", "--until", "score", "--redo", "score", "--quiet"]
    assert cli.main(["run", *again]) == 0
    assert artefacts.content_hash(out / "comparisons-judge.jsonl") == before


@pytest.mark.slow
def test_stopped_in_the_middle_it_ends_as_if_left_alone(run, monkeypatch):
    arguments, out = run
    before = {name: artefacts.content_hash(out / name) for name in ("comparisons-judge.jsonl", "pairs.jsonl")}
    both_ways, calls = comparisons.both_ways, []

    def killed(comparer, pairs):
        calls.append(len(pairs))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return both_ways(comparer, pairs)

    monkeypatch.setattr(comparisons, "both_ways", killed)
    assert cli.main(["run", *arguments, "--until", "score", "--redo", "score", "--quiet"]) == 130
    partial = out / "comparisons-judge.jsonl.partial"
    lines = partial.read_text().splitlines(keepends=True)
    assert len(lines) == calls[0] + calls[1]
    partial.write_text("".join(lines[1:-1]) + lines[-1][:20])  # a row of the first part is lost, and the last one is torn
    assert not (out / "comparisons-judge.jsonl").exists()
    calls.append(0)
    assert cli.main(["run", *arguments, "--until", "pair", "--redo", "score", "--quiet"]) == 0
    assert {name: artefacts.content_hash(out / name) for name in before} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("score.comparisons.judge.max_pairs=1", "comparison.max_pairs: 6 -> 1"),
        ("score.comparisons.judge.comparer.min_gap=0.1", "comparison.comparer.min_gap: 0.0 -> 0.1"),
        ("score.comparisons.judge.comparer.metric={name: duration, normaliser: characters}", "comparer.metric.normaliser"),
    ],
)
def test_changed_settings_are_refused_by_name(run, change, message, capsys):
    arguments, _ = run
    assert cli.main(["run", *arguments, change, "--until", "pair"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_another_table_of_comparisons_makes_other_pairs_and_is_noticed(run, capsys):
    arguments, _ = run
    assert cli.main(["score", *arguments, "score.comparisons.judge.max_pairs=1", "--redo", "score", "--quiet"]) == 0
    assert cli.main(["pair", *arguments, "score.comparisons.judge.max_pairs=1"]) == 2
    assert "inputs.comparisons-judge" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("pair.rules=[{rule: {name: preferred, comparison: jury}}]", "the comparison jury is not made by this recipe"),
        ("score.comparisons.judge.pairs=best_worst", "metric: expected one with pairs: best_worst"),
        ("score.comparisons.judge={comparer: {name: metric, metric: {name: duration}}, pairs: best_worst, metric: mos}",
         "'mos' is not scored by this recipe; `score.metrics` has: wer, similarity"),
        ("score.comparisons.judge.min_gap=0.1", "min_gap: expected 0 where pairs is all"),
        ("score.comparisons.judge.max_pairs=0", "max_pairs must be at least 1"),
        ("pair.rules=[{rule: {name: votes, path: nowhere.jsonl}}]", "cannot read the votes nowhere.jsonl: no such file"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_found_before_anything_works(tiny, tmp_path, change, message, capsys):
    arguments = [str(tiny / "recipe.yaml"), f"out={tmp_path / 'out'}", f"score.comparisons.judge={SHORTER}", change]
    assert cli.main(["run", *arguments, "--until", "pair"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "candidates").exists()


def test_a_judge_of_the_result_may_not_compare_the_candidates(tiny, tmp_path, capsys):
    same = "{name: wer, recogniser: {name: 'ears:HashRecogniser', salt: other}}"  # evaluate.judges.judge
    comparison = f"score.comparisons.judge={{comparer: {{name: metric, metric: {same}}}}}"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={tmp_path / 'out'}", comparison]) == 2
    how = "compared the candidates: score.comparisons.judge"
    assert f"judge took part in the training ({how}) and cannot judge the result" in capsys.readouterr().err


@pytest.mark.slow
def test_check_loads_the_comparer(sampled, capsys):
    arguments, _ = sampled
    assert cli.main(["check", *arguments]) == 0
    assert "compare judge: metric loads" in capsys.readouterr().out


def group(*frames, finished=()):
    return [
        Candidate(
            id=f"p#{index}", prompt_id="p", index=index, seed=0, temperature=1.0, top_p=1.0, top_k=0,
            num_tokens=one, num_frames=one, finished=index not in finished, status="ok" if one else "empty",
        )
        for index, one in enumerate(frames)
    ]  # fmt: skip


def chosen(rows, values=None, **settings):
    one = ComparisonSettings(comparer=MetricComparer(metric=Duration()), **settings)
    found = one.chosen(rows, {f"p#{index}": value for index, value in enumerate(values or [])})
    assert all(isinstance(pair, Asked) and pair.prompt_id == "p" for pair in found)
    return [f"{pair.first[2:]}{pair.second[2:]}" for pair in found]


def test_neighbours_are_asked_first_and_unfinished_or_empty_ones_never():
    assert chosen(group(1, 1, 1, 1)) == ["01", "12", "23", "02", "13", "03"]
    assert chosen(group(1, 1, 1, 1), max_pairs=3) == ["01", "12", "23"]
    assert chosen(group(1, 0, 1, 1, 1), max_pairs=9) == ["02", "23", "34", "03", "24", "04"]
    assert chosen(group(1, 1, 1, finished={1})) == ["02"]
    assert chosen(group(1)) == []


def test_best_is_compared_with_worst_by_a_metric_in_the_order_of_the_table():
    far = {"pairs": "best_worst", "metric": "wer"}
    assert chosen(group(1, 1, 1, 1), [0.5, 0.0, 1.0, 0.2], **far) == ["12", "03"]
    assert chosen(group(1, 1, 1, 1), [0.5, 0.0, 1.0, 0.2], **far, min_gap=0.4) == ["12"]
    assert chosen(group(1, 1, 1, 1), [0.5, None, 1.0, 0.2], **far) == ["23"]
    assert chosen(group(1, 1, 1, 1), [0.5, 0.5, 0.5, 0.5], **far, max_pairs=1) == ["03"]


def answering(known, fails=lambda question: False):
    """A judge behind a URL that prefers the longer candidate, and is unwell at times."""

    def answer(question):
        if fails(question):
            return Reply({"preferred": None, "reason": "not today"})
        first, second = (known[one].num_frames for one in question["id"].split("|"))
        return Reply({"preferred": "tie" if first == second else "first" if first > second else "second"})

    return answer


@pytest.mark.slow
def test_a_judge_behind_a_url_is_asked_both_ways_and_asked_again_for_what_it_did_not_say(run, capsys):
    arguments, out = run
    known = candidates(out)
    unwell = {f"{row.first}|{row.second}" for row in table(out)[::2]}
    state = {"unwell": True}
    fails = lambda question: state["unwell"] and question["id"] in unwell  # noqa: E731
    with serving(answering(known, fails)) as server:
        judge = f"{{name: http, url: '{server.url}', min_duration: 0.0}}"
        pair = "pair.rules=[{rule: {name: preferred, comparison: longer}}]"
        own = [*arguments[:3], f"score.comparisons.longer={{comparer: {judge}}}", pair]
        assert cli.main(["score", *own]) == 2
        message = capsys.readouterr().err
        share = f"{len(unwell)} of {len(table(out))}"
        assert f"comparisons longer: {share} pairs could not be compared (limit max_unscorable)" in message
        assert "first: not today; they are tried again" in message
        asked = len(server.asked)
        assert asked == 2 * len(table(out))
        assert not (out / "comparisons-longer.jsonl").exists()
        state["unwell"] = False
        assert cli.main(["run", *own, "--until", "pair", "--redo", "pair", "--quiet"]) == 0
        assert {question["id"] for question in server.asked[asked:]} >= unwell
    rows = {row.id: row for row in table(out, "longer")}
    opposite = {"first": "second", "second": "first", "tie": "tie"}
    assert list(rows) == [row.id for row in table(out)], "in the order of the candidates"
    assert all(rows[row.id].preferred == opposite[row.preferred] for row in table(out))


@pytest.mark.slow
def test_a_judge_that_hears_only_what_comes_first_makes_no_pair(run, capsys):
    arguments, out = run
    with serving(lambda question: Reply({"preferred": "first"})) as server:
        judge = f"{{name: http, url: '{server.url}', min_duration: 0.0}}"
        own = [*arguments[:2], f"score.comparisons.judge={{comparer: {judge}}}", arguments[3]]
        assert cli.main(["score", *own, "--redo", "score", "--quiet"]) == 0
        told = counts(out, "comparisons-judge.jsonl")
        assert told["contradictions"] == told["rows"] > 10
        assert cli.main(["pair", *own, "--redo", "pair"]) == 2
    assert f"'judge contradicts itself': {told['rows']}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_server_that_never_comes_stops_the_step(run, capsys):
    arguments, _ = run
    judge = "{comparer: {name: http, url: 'http://127.0.0.1:9/', retries: 0}}"
    assert cli.main(["score", *arguments[:2], f"score.comparisons.judge={judge}", arguments[3], "--redo", "score"]) == 2
    message = capsys.readouterr().err
    assert "pairs could not be compared (limit max_unscorable), first: no connection, or a lost one" in message
    mos = "score.metrics.mos={name: http, url: 'http://127.0.0.1:9/', retries: 0, higher_is_better: true}"
    assert cli.main(["score", *arguments, mos, "--redo", "score"]) == 2
    assert "score: mos could not judge 48 of 48 candidates (limit max_unscorable)" in capsys.readouterr().err


def voted(out, path, prefers=lambda one, other: one.num_frames < other.num_frames, listeners=("ann", "bob")):
    """Votes of listeners on the first two finished candidates of each prompt."""
    groups: dict[str, list[Candidate]] = {}
    for row in candidates(out).values():
        if row.finished and row.num_frames:
            groups.setdefault(row.prompt_id, []).append(row)
    rows = [
        Comparison(
            prompt_id=prompt, first=two.id, second=one.id, preferred="second" if prefers(one, two) else "first", judge=name
        )
        for prompt, (one, two, *_) in sorted((item for item in groups.items() if len(item[1]) > 1), reverse=True)
        for name in listeners
    ]
    artefacts.write_rows(path, rows)
    return rows


def test_votes_of_listeners_become_pairs(run, tmp_path, capsys):
    arguments, out = run
    rows = voted(out, tmp_path / "votes.jsonl")
    rule = f"pair.rules=[{{rule: {{name: votes, path: {tmp_path / 'votes.jsonl'}, min_votes: 2}}}}]"
    own = [*arguments[:2], arguments[2], rule]
    assert cli.main(["pair", *own, "--redo", "pair", "--quiet"]) == 0
    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    assert {(pair.chosen, pair.rejected) for pair in pairs} == {row.outcome for row in rows}
    assert len(pairs) == len(rows) // 2 > 3
    voted(out, tmp_path / "votes.jsonl", prefers=lambda one, other: one.num_frames > other.num_frames)
    assert cli.main(["pair", *own]) == 2
    assert "inputs.votes" in capsys.readouterr().err


def test_a_vote_on_an_unknown_candidate_is_named_once(run, tmp_path, capsys):
    arguments, out = run
    rows = voted(out, tmp_path / "votes.jsonl")
    spoilt = [json.loads(artefacts.row_line(row)) for row in rows]
    spoilt[2]["first"] = "nobody#0"
    spoilt[4]["second"] = "nobody#1"
    artefacts.write_rows(tmp_path / "votes.jsonl", spoilt)
    rule = f"pair.rules=[{{rule: {{name: votes, path: {tmp_path / 'votes.jsonl'}}}}}]"
    assert cli.main(["pair", *arguments[:3], rule, f"out={out}", "--redo", "pair"]) == 2
    message = capsys.readouterr().err
    assert "votes.jsonl: row 3: expected candidates of" in message
    assert f"found 'nobody#0' of the prompt '{rows[2].prompt_id}'" in message
    assert "nobody#1" not in message


@pytest.mark.slow
def test_the_whole_loop_runs_on_comparisons_alone(tiny, tmp_path):
    out = tmp_path / "out"
    tree = yaml.safe_load((tiny / "recipe.yaml").read_text())
    tree["score"] = {"comparisons": {"judge": yaml.safe_load(SHORTER)}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree))
    assert cli.main(["run", str(tmp_path / "recipe.yaml"), f"out={out}", PREFERRED, "--quiet"]) == 0
    assert (out / "report" / "report.html").is_file()
    assert not list(out.glob("scores-*.jsonl"))


def test_metrics_are_needed_where_nothing_compares():
    with pytest.raises(ConfigError, match="expected one with pairs: best_worst"):
        ComparisonSettings(comparer=MetricComparer(metric=Duration()), pairs="all", metric="wer")

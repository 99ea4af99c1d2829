"""All prompts as data: compact, in order, and harmless within a script element."""

import json
from dataclasses import replace

from lpo_tts.comparison.results import PromptRow
from lpo_tts.report.prompt_table import NUM_STATIC, embedded, prompt_table
from tests.report.pages import HOSTILE, small_report


def row(name, base, aligned, **more):
    return PromptRow(
        prompt_id=name,
        text=f"text of {name}",
        num_words=3,
        values={"base": {"wer": base, "sim": 0.123456789}, "aligned": {"wer": aligned}},
        **{"tags": {}, "missing": {"aligned": 1}} | more,
    )


def test_rows_with_the_largest_change_stand_first():
    report = replace(small_report(), prompts=(row("a", 0.5, 0.4), row("b", 0.0, 0.9), row("c", None, 1.0), row("d", 0.5, 0.0)))
    table = prompt_table(report, {"d": "example-1"})
    assert [one.prompt_id for one in table.rows] == ["b", "d", "a", "c"]
    data = json.loads(table.data)
    assert data["systems"] == ["base", "aligned"]
    assert data["baseline"] == 0
    assert [one["better"] for one in data["metrics"]] == [-1, -1, 1]
    b, d = data["rows"][:2]
    assert b == ["b", "text of b", 3, [], [[0.0, None, 0.12346], [0.9, None, None]], [0, 1], None]
    assert d[-1] == "example-1"


def test_without_a_baseline_rows_with_most_errors_stand_first():
    report = replace(small_report(), baseline=None, prompts=(row("a", 0.5, 0.4), row("b", 0.0, 0.9)))
    assert [one.prompt_id for one in prompt_table(report, {}).rows] == ["b", "a"]


def test_tags_are_columns_and_few_rows_stand_in_the_page():
    prompts = [row(f"p{k}", 0.5, 0.5, tags={"voice": "x"} if k % 2 else {"speed": "y"}) for k in range(100)]
    table = prompt_table(replace(small_report(), prompts=tuple(prompts)), {})
    data = json.loads(table.data)
    assert len(table.rows) == NUM_STATIC
    assert data["tags"] == ["speed", "voice"]
    assert [one[3] for one in data["rows"][:2]] == [["y", None], [None, "x"]]


def test_a_derived_metric_is_told_from_the_one_it_comes_from():
    report = small_report()
    derived = replace(report.metrics[0], name="wer.cer", of="wer", short="CER")
    data = json.loads(prompt_table(replace(report, metrics=(*report.metrics, derived)), {}).data)
    assert [one["label"] for one in data["metrics"]] == ["WER, Judge", "WER, Trained", "SIM-o", "WER, Judge: CER"]


def test_no_text_ends_the_script_element():
    text = embedded([f"</script><!--{HOSTILE}", "\u2028\u2029", "emoji 🙂 ж"])
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == [f"</script><!--{HOSTILE}", "\u2028\u2029", "emoji 🙂 ж"]

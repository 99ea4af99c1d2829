"""The card of a model: whose sentence of the headline it quotes, and which figures it prints."""

import pytest

from lpo_tts.comparison.results import plain
from lpo_tts.comparison.summary import summarise
from lpo_tts.exchange.licences import Licence
from lpo_tts.exchange.model_card import Aligned, model_card
from tests.report.pages import ROLES, judged


def card(report, system):
    return model_card(
        Aligned(
            name="one",
            base="model",
            base_id=None,
            licence=Licence("MIT", "mit"),
            languages=["en"],
            loss="lpo",
            adapters=False,
            recipe="name: one\n",
            report=plain(report),
            system=system,
            pairs={},
            ranking=[],
            versions={},
            speak="pass",
            local=[],
        )
    )


@pytest.mark.parametrize("system", ["a", "a makes"])
def test_a_card_quotes_the_sentence_of_its_own_system_where_another_ones_name_begins_alike(system):
    errors = {"base": 3, "a makes": 2, "a": 1}
    rows = [judged(name, f"p{k}", count) for name, count in errors.items() for k in range(8)]
    report = summarise(rows, ROLES, "base", num_resamples=50)
    quoted = [line for line in card(report, system).splitlines() if line.startswith("> ")]
    assert quoted == [f"> {report.headline[1 if system == 'a' else 0]}"]
    assert quoted[0].startswith(f"> {system} makes fewer word errors than base: ")


def test_a_card_of_one_system_of_a_report_without_a_metric_quotes_nothing():
    rows = [judged(name, f"p{k}", 1) for name in ("base", "a") for k in range(8)]
    assert "\n> " not in card(summarise(rows, [], "base", num_resamples=50), "a")

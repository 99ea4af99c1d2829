"""The forecast of a test: what it finds, and what it refuses."""

import pytest


def test_a_clear_preference_takes_few_listeners_and_a_slight_one_many():
    from demo.plan import forecast

    clear, slight = (forecast(share, 20, 0.15, runs=40) for share in (0.75, 0.6))
    assert clear.decided == slight.decided == 1
    assert clear.median < slight.median < slight.most_of
    assert (clear.equivalent, clear.wrong) == (0, 0)
    mirrored = forecast(0.25, 20, 0.15, runs=40)
    assert abs(mirrored.median - clear.median) <= 3


def test_without_a_preference_tests_end_as_equivalent():
    from demo.plan import forecast

    found = forecast(0.5, 40, 0.0, runs=40)
    assert found.equivalent > 0.9
    assert found.wrong <= 0.1


def test_listeners_of_one_mind_need_eight():
    from demo.plan import forecast

    assert forecast(0.999999, 1, 0.0, runs=5).median == 8


def test_the_command_prints_a_table(capsys):
    from demo import plan

    assert plan.main(["--share", "0.7", "--trials", "10"]) == 0
    header, line, row = capsys.readouterr().out.splitlines()
    assert header.count("|") == line.count("|") == row.count("|") == 7
    assert row.startswith("| 70 % | 1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share", "1.5"], "--share"),
        (["--spread", "0.45", "--share", "0.8"], "--spread: expected less than 0.40 at a share of 0.8"),
        (["--trials", "0"], "--trials"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message, capsys):
    from demo import plan

    assert plan.main(arguments) == 2
    assert message in capsys.readouterr().err

"""How often somebody may ask."""

import threading

from demo.listening import rates
from demo.listening.rates import Rate


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_then_so_many_per_second():
    clock = Clock()
    rate = Rate(3, 2.0, clock)
    assert [rate.take() for _ in range(5)] == [True, True, True, False, False]
    clock.now = 0.5
    assert [rate.take() for _ in range(2)] == [True, False]
    clock.now = 100.0
    assert [rate.take() for _ in range(4)] == [True, True, True, False], "no more than a burst is saved up"


def test_whether_one_is_left_is_asked_without_taking_it():
    clock = Clock()
    rate = Rate(1, 2.0, clock)
    assert [rate.has_left() for _ in range(3)] == [True] * 3
    assert rate.take()
    assert not rate.has_left()
    clock.now = 0.5
    assert rate.has_left()


def test_names_do_not_take_from_each_other_and_old_ones_are_forgotten(monkeypatch):
    monkeypatch.setattr(rates, "MOST_NAMES", 10)
    rate = Rate(1, 0.0, Clock())
    assert rate.take("ann")
    assert rate.take("bob")
    assert not rate.take("ann")
    for number in range(20):
        rate.take(str(number))
    assert len(rate._left) == 10
    assert rate.take("ann"), "forgotten, so begun anew"


def test_threads_together_get_no_more_than_one():
    rate, taken = Rate(50, 0.0, Clock()), []
    threads = [threading.Thread(target=lambda: taken.extend(rate.take("ann") for _ in range(20))) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(taken) == 50

"""Answers on the disk."""

import contextlib
import sqlite3
import threading

import pytest

from demo.listening.design import Design
from demo.listening.modes import Side
from demo.listening.refusals import Refused
from demo.listening.rows import Content
from demo.listening.schema import TABLES
from demo.listening.store import Store
from lpo_tts.errors import ArtefactError


def content(item="p1", a="base", b="aligned", **changes):
    sides = (Side(label="A", name=a, candidate_id=f"{item}#0"), Side(label="B", name=b, candidate_id=f"{item}#0"))
    fields = {"mode": "ab", "question": "words", "source": "systems", "item": item, "prompt_id": item, "sides": sides}
    return Content(**fields | changes)


@contextlib.contextmanager
def refused(reason):
    with pytest.raises(Refused) as found:
        yield found
    assert found.value.reason == reason


def test_a_listener_comes_back_by_token_and_a_name_is_one_persons(store):
    ann = store.enter(" ann ")
    assert ann.name == "ann"
    assert store.enter(token=ann.token) == store.enter("ann", ann.token) == store.by_token(ann.token) == ann
    with refused("name-taken") as found:
        store.enter("ann")
    assert "go on in the browser you began in, or add to your name" in str(found.value)
    with refused("token"):
        store.enter("ann", "nonsense")
    with refused("name"):
        store.enter("bob", ann.token)
    assert store.enter("Ann").id != ann.id


def test_a_listener_without_a_name_is_given_one(store):
    first, second = store.enter(), store.enter("   ")
    assert first.name.startswith("listener-")
    assert first.name != second.name
    assert first.token != second.token


@pytest.mark.parametrize("name", ["x" * 81, "a\tb", "a\nb", "a\u202eb", "\0", "a\ud800"])
def test_a_name_is_one_line_of_plain_text(store, name):
    with refused("name"):
        store.enter(name)
    assert store.enter("x" * 80).name == "x" * 80
    assert store.enter("<script>alert('é')</script>").name == "<script>alert('é')</script>"


def test_the_file_does_not_hold_the_token(store):
    ann = store.enter("ann")
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert ann.token.encode() not in store.path.read_bytes()


def test_seats_of_a_test_are_counted_and_kept(store):
    ann, bob, eve = (store.enter(name) for name in ("ann", "bob", "eve"))
    assert [store.seat("words", one, 20).number for one in (bob, ann, bob)] == [0, 1, 0]
    assert [store.seat("voice", one, 20).number for one in (eve, ann)] == [0, 1]


def test_how_many_trials_are_due_is_fixed_at_the_start_and_can_only_be_lowered(store):
    ann, bob = store.enter("ann"), store.enter("bob")
    for one in (ann, bob):
        assert store.seat("words", one, 20).due == 20
    store.lower("words", ann, 18)
    store.lower("words", ann, 19)
    assert store.seat("words", ann, 30).due == 18
    assert store.dues() == {"words": {"ann": 18, "bob": 20}}


def test_a_file_of_version_1_is_taken_over_and_learns_its_numbers_when_the_test_is_offered(tmp_path):
    path = tmp_path / "old.sqlite"
    later = [line for line in TABLES.splitlines() if line.lstrip().startswith(("due ", "fetched "))]
    assert len(later) == 2
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "\n".join(line for line in TABLES.splitlines() if line not in later)
            + "INSERT INTO settings VALUES ('secret', '00'); INSERT INTO listeners VALUES (1, 'ann', NULL, 0);"
            "INSERT INTO seats VALUES ('words', 1, 0, 0); PRAGMA user_version = 1"
        )
    for _ in range(2):
        with Store(path) as store:
            assert store.dues() == {"words": {"ann": 0}}
    with Store(path) as store:
        store.note_design(Design("words"), 12)
        assert store.dues() == {"words": {"ann": 12}}
        assert store.show("words", store.enter("ann"), "k", content).fetched == ""
        bob = store.enter("bob")
        assert store.seat("words", bob, 15).due == 15
        store.note_design(Design("words"), 15)
        assert store.dues() == {"words": {"ann": 12, "bob": 15}}


def test_a_trial_is_drawn_once_and_is_the_same_after_a_reload(store, clock):
    ann = store.enter("ann")
    first = store.show("words", ann, "k", content)
    clock.now += 5
    again = store.show("words", ann, "k", lambda: content(a="aligned", b="base"))
    assert again.content == first.content
    assert (again.id, again.shown, again.opened) == (first.id, first.shown, first.shown + 5)
    assert store.show("voice", ann, "k", content).id != first.id


def test_a_trial_of_another_listener_is_none(store):
    ann, bob = store.enter("ann"), store.enter("bob")
    shown = store.show("words", ann, "k", content)
    assert store.trial(shown.id, ann) == store.trial(shown.id) == shown
    for trial, listener in ((shown.id, bob), ("f" * 32, ann), ("../x", None)):
        with refused("trial"):
            store.trial(trial, listener)


def test_an_answer_is_kept_once_and_the_same_again_changes_nothing(store, clock):
    ann = store.enter("ann")
    shown = store.show("words", ann, "p1|aligned|base", content)
    assert store.done("words", ann) == {}
    clock.now += 7
    assert store.answer(shown, "A", {"A": 1.5}) is True
    assert store.answer(shown, "A", {"A": 9.0}) is False
    with refused("answered"):
        store.answer(shown, "B", {})
    (found,) = store.answers()
    assert (found.test, found.listener, found.answer, found.played) == ("words", "ann", "A", {"A": 1.5})
    assert found.time - found.shown == pytest.approx(7)
    assert found.content == shown.content
    assert store.done("words", ann) == {"p1|aligned|base": ""}
    assert store.tests() == {"words": 1}
    assert store.answers("voice") == []


def test_answers_of_every_form_come_back_as_they_were(store):
    ann = store.enter("ann")
    for number, answer in enumerate(["tie", -3, {"A": 5}, {"A": 0, "B": 100}]):
        store.answer(store.show("t", ann, f"k{number}", content), answer, {})
    assert [one.answer for one in store.answers("t")] == ["tie", -3, {"A": 5}, {"A": 0, "B": 100}]


def test_all_is_there_when_the_file_is_opened_again(store, tmp_path):
    ann = store.enter("ann")
    store.answer(store.show("words", ann, "k", content), "tie", {})
    code = store.code("words", ann.name)
    with Store(store.path) as other:  # while the first one is open, as another process would
        assert other.by_token(ann.token) == ann
        assert [one.answer for one in other.answers()] == ["tie"]
        assert other.code("words", "ann") == code
    assert len(code) == 14
    assert store.codes() == {}
    store.seat("words", ann, 1)
    store.seat("voice", ann, 1)
    assert store.codes() == {"words": {"ann": code}, "voice": {}}
    assert code != store.code("voice", "ann")
    with Store(tmp_path / "other.sqlite") as other:
        assert other.code("words", "ann") != code  # nobody can make one up


def test_a_code_is_listed_of_those_who_have_finished_alone(store):
    ann = store.enter("ann")
    store.seat("words", ann, 2)
    for number, catch in enumerate(("", "worse", "same", "")):
        assert store.codes() == {"words": {}}
        store.answer(store.show("words", ann, f"k{number}", lambda catch=catch: content(catch=catch)), "A", {})
    assert store.codes() == {"words": {"ann": store.code("words", "ann")}}


def test_many_threads_and_two_connections_lose_nothing_and_double_nothing(store):
    listeners = [store.enter(f"l{k}") for k in range(8)]
    with Store(store.path) as second:
        seats, wrong = [], []

        def listen(number, one):
            own = (store, second)[number % 2]
            seats.append(own.seat("words", one, 12).number)
            for k in range(12):
                shown = (store, second)[k % 2].show("words", one, f"k{k}", content)
                for place in (own, store, second):  # the same three times over, from both sides
                    place.answer(shown, "A" if k % 2 else "B", {})
                try:
                    own.answer(shown, "tie", {})
                    wrong.append(shown)
                except Refused:
                    pass

        threads = [threading.Thread(target=listen, args=pair) for pair in enumerate(listeners)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seats) == list(range(8))
        assert wrong == []
        found = second.answers("words")
    assert len(found) == len({(one.listener, one.key) for one in found}) == 8 * 12
    assert all(one.answer == ("A" if int(one.key[1:]) % 2 else "B") for one in found)


def test_two_windows_that_ask_at_once_are_shown_the_same(store):
    ann, shown = store.enter("ann"), []
    barrier = threading.Barrier(2)

    def make(a, b):
        barrier.wait(5)  # both have seen that there is no such trial yet
        return content(a=a, b=b)

    def window(*sides):
        shown.append(store.show("words", ann, "k", lambda: make(*sides)))

    threads = [threading.Thread(target=window, args=sides) for sides in (("base", "aligned"), ("aligned", "base"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shown) == 2
    assert shown[0].id == shown[1].id
    assert shown[0].content == shown[1].content


def test_every_commit_is_on_the_disk_before_it_is_told_of(store):
    assert store._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert store._connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_designs_are_kept_each_once(store):
    for design in (Design("words"), Design("words"), Design("words", seed=1)):
        store.note_design(design, 20)
    assert store._connection.execute("SELECT count(*) FROM designs").fetchone()[0] == 2


def test_a_file_that_is_no_table_of_answers_is_refused_and_stays_as_it_was(tmp_path):
    text, other, later = (tmp_path / name for name in ("text", "other", "later"))
    text.write_text("this is no database, and long enough to be told from one\n" * 20)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a)")
    with sqlite3.connect(later) as connection:
        connection.execute("PRAGMA user_version = 99")
    for path, said in ((text, "not a database"), (other, "another program"), (later, "found version 99")):
        before = path.read_bytes()
        with pytest.raises(ArtefactError, match=rf"{path.name}.*{said}.*--answers"):
            Store(path)
        assert path.read_bytes()[100:] == before[100:]  # SQLite notes its journal mode in the head
    with pytest.raises(ArtefactError, match="cannot write"):
        Store(text / "below")


def test_a_store_that_cannot_be_written_says_so_and_keeps_what_it_has(store):
    ann = store.enter("ann")
    shown = store.show("words", ann, "k", content)
    store._connection.execute("PRAGMA query_only = ON")  # as a disk that has turned read-only
    with pytest.raises(ArtefactError, match=r"answers\.sqlite: the answers cannot be read or written"):
        store.answer(shown, "A", {})
    store._connection.execute("PRAGMA query_only = OFF")
    assert store.answers() == []
    assert store.answer(shown, "A", {}) is True


def test_a_forgotten_listener_leaves_nothing_and_everybody_else_goes_on(store):
    ann, bob, eve = (store.enter(name) for name in ("ann of the north", "bob", "eve"))
    for one in (ann, bob, eve):
        store.seat("words", one, 20)
        store.answer(store.show("words", one, "k", content), "A", {})
    assert store.forget("ann of the north") == 1
    assert {one.listener for one in store.answers()} == {"bob", "eve"}
    with refused("token"):
        store.by_token(ann.token)
    for path in store.path.parent.glob(f"{store.path.name}*"):
        assert b"ann of the north" not in path.read_bytes(), path
    assert store.seat("words", store.enter("dee"), 20).number == 3  # the numbers of the others stay theirs
    assert [store.seat("words", one, 20).number for one in (bob, eve)] == [1, 2]
    assert store.enter("ann of the north").id != ann.id
    with pytest.raises(ArtefactError, match="nobody listens here as 'zoe'"):
        store.forget("zoe")


class Failing:
    """A connection whose next COMMIT fails, as on a disk that is full."""

    def __init__(self, connection):
        self.connection, self.fails = connection, True

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def execute(self, query, *values):
        if query == "COMMIT" and self.fails:
            self.fails = False
            raise sqlite3.OperationalError("disk I/O error")
        return self.connection.execute(query, *values)


def test_a_commit_that_fails_once_fails_once(store):
    store._connection = Failing(store._connection)
    with pytest.raises(ArtefactError, match="disk I/O error"):
        store.enter("ann")
    assert store.enter("ann").name == "ann"

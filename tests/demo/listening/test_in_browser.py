"""The listening test in a real browser: every mode, the lock, sides, reloads, networks that fail, keyboard, accessibility."""

import json

import pytest

pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

import itertools

from demo.listening.modes import MODES
from demo.listening.store import Store
from lpo_tts import audio
from tests.browser import DESKTOP, PHONE
from tests.demo.listening.pages import Listener, no_connection
from tests.demo.listening.simulated import RATE, Server, clips, speechlike

pytestmark = pytest.mark.slow

LONG = 1.6  # seconds of a clip that is switched, sought and looped
KEY = {"ab": "2", "abx": "1", "mos": "4", "cmos": "6", "mushra": ""}
STORED = {"ab": "B", "abx": "A", "mos": {"A": 4}, "cmos": 2}


@pytest.fixture(scope="module")
def tests_file(tmp_path_factory):
    """One short test of each mode, and A/B on the other question as a second pass."""
    common = {"catch_share": 0.0, "trials_per_listener": 2}
    designs = {mode: {"mode": mode, "question": "overall", **common} for mode in MODES}
    designs["ab"]["question"] = "words"
    designs["mushra"]["anchors"] = [3500]
    designs["voice"] = {"mode": "ab", "question": "voice", **common}
    designs["sides"] = {"mode": "ab", "question": "overall", "catch_share": 0.0, "trials_per_listener": 8}
    path = tmp_path_factory.mktemp("designs") / "tests.yaml"
    path.write_text(json.dumps(designs))  # YAML holds JSON
    return path


@pytest.fixture(scope="module")
def server(folder, tests_file, tmp_path_factory):
    """Clips of a fifth of a second."""
    server = Server(folder, tmp_path_factory.mktemp("answers") / "answers.sqlite", "--tests", str(tests_file))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def slow_server(tests_file, tmp_path_factory):
    """Clips that are long enough to do something while they play."""
    folder = tmp_path_factory.mktemp("long")
    clips(folder, 3, LONG)
    server = Server(folder, folder / "answers.sqlite", "--tests", str(tests_file))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def uneven_server(tests_file, tmp_path_factory):
    """Clips of one text that last unlike long."""
    folder = tmp_path_factory.mktemp("uneven")
    clips(folder, 3, 1.0)
    for system, seconds in (("aligned", 1.3), ("target", 1.6)):
        for k in range(3):
            audio.write(folder / system / f"p{k}.wav", speechlike(seconds, k), RATE)
    server = Server(folder, folder / "answers.sqlite", "--tests", str(tests_file))
    yield server
    server.kill()


@pytest.fixture
def listen(look):
    """A function that opens the page of a test in a window of its own."""

    def opened(server, test="ab", **options):
        return Listener(look(f"{server.address}?test={test}" if test else server.address, **options))

    return opened


def answers(server, listener):
    """What is stored of a listener; the file is read beside the running server."""
    with Store(server.answers) as store:
        return [one for one in store.answers() if one.listener == listener]


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_from_start_to_end(server, listen, mode):
    listener = listen(server, mode, size=PHONE if mode in ("ab", "mushra") else DESKTOP).begin(f"start to end {mode}")
    for number in (1, 2):
        assert listener.place() == f"Trial {number} of 2"
        assert listener.locked()
        listener.hear().answer(KEY[mode])
        assert set(listener.names()) == set(listener.labels()) - {"X"}
        listener.next()
    found = answers(server, f"start to end {mode}")
    assert len(found) == 2
    assert {one.test for one in found} == {mode}
    with Store(server.answers) as store:
        token = json.loads(listener.page.evaluate("localStorage.getItem('listening:listener')"))["token"]
        assert listener.code() == store.code(mode, store.by_token(token).name)
        assert store.by_token(token).name == f"start to end {mode}"
    if mode == "mushra":
        assert all(sorted(one.answer) == list("ABCD") and len(set(one.answer.values())) == 4 for one in found)
    else:
        assert [one.answer for one in found] == [STORED[mode]] * 2
    assert listener.seen.said == []


def test_an_answer_is_locked_until_every_clip_was_heard_whole(slow_server, listen):
    listener = listen(slow_server).begin("locked")
    listener.press("1")
    listener.hear("A")
    assert listener.locked()
    assert "B" in listener.status()
    # Whoever seeks to the end has not heard the beginning.
    bar = ".clip[aria-label='clip B'] .track input"
    listener.page.eval_on_selector(bar, "one => { one.value = 0.8; one.dispatchEvent(new Event('input')); }")
    listener.hear("B")
    assert listener.locked()
    listener.press("2")
    assert answers(slow_server, "locked") == []
    # The rest of it, from the start: the two parts make a whole.
    listener.hear("B")
    assert not listener.locked()
    listener.answer("0")
    assert [one.answer for one in answers(slow_server, "locked")] == ["tie"]


SHOWN = """all => Object.fromEntries(all.filter((one) => !one.classList.contains("aside") || one.closest(".open")).map((one) => {
    const [bar, drawn] = [one.querySelector(".track input"), [...one.querySelectorAll(".heard rect")]];
    const heard = drawn.map((part) => ["x", "width"].map((name) => Math.round(Number(part.getAttribute(name)))));
    const shown = [bar.value, bar.min, bar.max, bar.step, bar.getAttribute("aria-valuetext")];
    return [one.querySelector(".play").getAttribute("aria-keyshortcuts"), { shown: shown.join(), heard: heard.join() }];
}))"""


def bars(listener, what="shown"):
    """Key of each clip that is compared with others -> what is to be seen and read of its bar."""
    return {key: one[what] for key, one in listener.page.eval_on_selector_all(".clip", SHOWN).items()}


@pytest.mark.parametrize("mode", ["abx", "ab", "cmos", "mushra"])
def test_no_bar_tells_a_clip_by_its_length(uneven_server, listen, mode):
    """X lasts as long as its twin, and the hidden reference as long as the open one: the page must not show that."""
    listener = listen(uneven_server, mode).begin(f"watches {mode}")
    labels = [*listener.labels(), *(["R"] if mode == "mushra" else [])]
    last = labels[-1]
    listener.press(last)
    listener.seen.until("Number(document.querySelector('.playing .track input').value) > 0.3")
    listener.press(" ")
    seen = set()
    for key in ("", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        if key:
            listener.press(key)
        found = bars(listener)
        assert len(found) == len(labels)
        assert len(set(found.values())) == 1, found
        seen |= set(found.values())
    assert len(seen) >= 3, "the bars move"
    moved = []
    for label in labels:  # a second is the same part of every bar
        bar = f".clip:has(kbd:text-is('{label}')) .track input"
        listener.page.focus(bar)
        listener.page.eval_on_selector(bar, "one => { one.value = 0.1; one.dispatchEvent(new Event('input')); }")
        listener.press("ArrowRight")
        moved.append(float(listener.page.input_value(bar)))
        assert len(set(bars(listener).values())) == 1
    assert moved == [moved[0]] * len(labels)
    assert 0.1 < moved[0] < 1
    for label in labels:
        listener.hear(label)
        if bars(listener, "heard")[label] != "0,1000":  # it went on from where the one before was
            listener.hear(label)
    assert set(bars(listener, "heard").values()) == {"0,1000"}
    assert len(set(bars(listener).values())) == 1


def test_clips_can_be_played_when_all_are_there(uneven_server, listen):
    """The longest one takes longest to come: which one that is must not be seen."""
    listener = listen(uneven_server, "abx")
    held = []
    listener.page.route("**/audio/*-B.wav", lambda route: held.append(route))
    listener.page.click("[type=submit]")
    listener.seen.until("document.querySelector('main.trial') !== null")
    listener.page.wait_for_timeout(700)
    assert held
    assert listener.page.eval_on_selector_all(".clips .play:enabled", "all => all.length") == 0
    held[0].continue_()
    listener.loaded()
    assert listener.page.eval_on_selector_all(".clips .play:enabled", "all => all.length") == 3


def test_switching_keeps_the_place(slow_server, listen):
    listener = listen(slow_server).begin("switches")
    listener.press("A")
    listener.seen.until("Number(document.querySelector('.playing .track input').value) > 0.25")
    before = listener.bar("A")
    listener.press("B")
    after = listener.bar("B")
    assert listener.page.get_attribute(".clip.playing", "aria-label") == "clip B"
    assert before <= after < 1
    listener.press(" ")
    paused = listener.bar("B")
    listener.press(" ")
    listener.seen.until(f"Number(document.querySelector('.playing .track input').value) > {paused}")
    listener.press("ArrowLeft")
    assert listener.bar("B") < paused + 0.4


def test_a_stretch_is_looped(slow_server, listen):
    listener = listen(slow_server, "mushra").begin("loops")
    listener.page.check("#loop")
    listener.press("A")
    places = []
    for _ in range(30):
        places.append(listener.bar("A"))
        listener.page.wait_for_timeout(80)
    assert listener.page.get_attribute(".clip.playing", "aria-label") == "clip A"  # 2.4 s on, it still plays
    assert min(places) > 0.22
    assert max(places) < 0.78
    assert any(later < earlier for earlier, later in itertools.pairwise(places))
    listener.page.uncheck("#loop")
    listener.seen.until("document.querySelector('.clip.playing') === null")


def test_sides_are_random_and_two_listeners_do_not_meet(server, listen):
    first, second = (listen(server, "sides").begin(name) for name in ("one of two", "two of two"))
    sides = []
    for _ in range(8):
        for listener in (first, second):
            listener.hear().answer("1")
            sides.append(listener.names()["A"])
            listener.next()
    assert {"base", "aligned"} == set(sides)  # by chance they would be all alike once in 30,000 times
    for name in ("one of two", "two of two"):
        found = answers(server, name)
        assert len(found) == 8 == len({one.key for one in found})
    shown = [one.content.sides[0].name for one in answers(server, "one of two")]
    assert shown == sides[::2]
    assert first.code() != second.code()


def test_a_reload_in_the_middle_goes_on_with_the_same_trial(slow_server, listen):
    listener = listen(slow_server).begin("reloads")
    text = listener.text()
    listener.hear("A")
    listener.page.reload()
    listener.loaded()
    assert (listener.text(), listener.place()) == (text, "Trial 1 of 2")
    assert "A" not in listener.status().split(":")[1]  # what was heard stays heard
    listener.hear("B").answer("1")
    (found,) = answers(slow_server, "reloads")
    assert listener.names() == {side.label: side.name for side in found.content.sides}


def test_ratings_survive_a_reload(server, listen):
    listener = listen(server, "mushra").begin("rates and reloads")
    listener.page.focus(".clip[aria-label='clip B'] .rate")
    listener.press("PageUp")
    rated = listener.page.inner_text(".clip[aria-label='clip B'] .rating")
    listener.page.reload()
    listener.loaded()
    assert listener.page.inner_text(".clip[aria-label='clip B'] .rating") == rated != "–"
    assert listener.page.inner_text(".clip[aria-label='clip A'] .rating") == "–"


def test_a_killed_server_loses_no_answer(folder, tests_file, tmp_path, serve, listen):
    server = serve(folder, tmp_path / "answers.sqlite", "--tests", str(tests_file))
    port = server.address.split(":")[2].split("/")[0]
    listener = listen(server).begin("patient")
    listener.hear()
    server.kill()
    listener.press("1")
    listener.seen.until("!document.getElementById('trouble').hidden", 30)
    assert "kept in this browser" in listener.page.inner_text("#trouble")
    serve(folder, tmp_path / "answers.sqlite", "--tests", str(tests_file), "--port", port)
    listener.told()
    assert listener.page.is_hidden("#trouble")
    assert [one.answer for one in answers(server, "patient")] == ["A"]
    listener.next().hear().answer("2").next()
    assert listener.done()


@pytest.mark.parametrize("after", [False, True], ids=["request lost", "response lost"])
def test_an_answer_is_sent_again_and_stored_once(server, listen, after):
    name = f"lost {after}"
    listener = listen(server).begin(name)
    listener.hear()
    with no_connection(listener.page, after=after):
        listener.press("2")
        listener.seen.until("!document.getElementById('trouble').hidden")
    listener.page.click("#again")
    listener.told()
    assert [one.answer for one in answers(server, name)] == ["B"]
    assert listener.page.evaluate("localStorage.getItem('listening:pending')") is None


def test_an_answer_that_was_on_its_way_survives_a_reload(server, listen):
    listener = listen(server).begin("on its way")
    listener.hear()
    with no_connection(listener.page):
        listener.press("2")
        listener.seen.until("!document.getElementById('trouble').hidden")
    listener.page.reload()
    listener.loaded()
    assert listener.place() == "Trial 2 of 2"
    assert [one.answer for one in answers(server, "on its way")] == ["B"]


def test_an_answer_that_is_not_let_in_is_kept_and_sent_after_a_reload(server, listen):
    listener = listen(server).begin("shut out")
    listener.hear()
    refusal = {"status": 401, "json": {"error": "log in first", "reason": "refused"}}
    listener.page.route("**/api/answer", lambda route: route.fulfill(**refusal))
    listener.press("1")
    listener.seen.until("document.getElementById('note').textContent.includes('log in first')")
    listener.page.unroute("**/api/answer")
    listener.page.reload()
    listener.loaded()
    assert listener.place() == "Trial 2 of 2"
    assert [one.answer for one in answers(server, "shut out")] == ["A"]


def test_another_answer_in_a_second_window_is_not_stored(server, listen):
    listener = listen(server).begin("two windows")
    other = listener.page.context.new_page()
    other.goto(f"{server.address}?test=ab")
    other.click("[type=submit]")
    other.wait_for_selector(".play:enabled")
    listener.hear().answer("1")
    other.keyboard.press("A")
    other.wait_for_timeout(600)
    other.keyboard.press("B")
    other.wait_for_timeout(600)
    other.keyboard.press("2")
    other.wait_for_selector("#note:not(:empty)")
    assert [one.answer for one in answers(server, "two windows")] == ["A"]


def test_a_listener_comes_back_by_link_and_no_other_takes_the_name(server, listen):
    listener = listen(server).begin("comes back")
    listener.hear().answer("1").next()
    listener.page.click("#leave")
    link, code = listener.page.get_attribute("#link", "href"), listener.page.inner_text("#return")
    other = listen(server)
    other.page.fill("#name", "comes back")
    other.page.click("[type=submit]")
    other.seen.until("document.querySelector('.fault').textContent !== ''")
    assert "listens as" in other.page.inner_text(".fault")
    other.page.fill("#code", code)
    other.page.click("[type=submit]")
    assert other.loaded().place() == "Trial 2 of 2"
    third = listen(server)
    third.page.goto("about:blank")
    third.page.goto(link)
    third.seen.until("document.querySelector('.known') !== null")
    third.page.click("[type=submit]")
    assert third.loaded().place() == "Trial 2 of 2"
    assert code not in third.page.url


def test_a_name_is_text(server, listen):
    name = "<img src=x onerror=alert(1)>&amp;"
    listener = listen(server).begin(name)
    listener.page.click("#leave")
    assert listener.page.inner_text("#who") == name
    assert listener.page.query_selector("#who img") is None


def test_the_second_question_is_a_pass_of_its_own(server, listen):
    listener = listen(server, "ab,voice").begin("two passes")
    assert "words" in listener.page.inner_text("h1")
    listener.hear().answer().next().hear().answer().next()
    assert listener.done()
    first = listener.code()
    listener.press("Enter")
    listener.loaded()
    assert "voice" in listener.page.inner_text("h1")
    assert listener.place() == "Trial 1 of 2"
    listener.hear().answer().next().hear().answer().next()
    assert listener.code() != first
    assert [one.test for one in answers(server, "two passes")] == ["ab", "ab", "voice", "voice"]


def test_an_invitation_to_another_test_is_followed_in_the_same_window(server, listen):
    listener = listen(server, "ab").begin("invited twice")
    listener.page.goto(f"{server.address}?test=mos")
    listener.seen.until("document.querySelector('.known') !== null")
    assert "invited twice" in listener.page.inner_text(".known")
    listener.begin()
    assert listener.labels() == ["A"]


def test_by_keyboard_alone(server, listen):
    listener = listen(server, "")
    page = listener.page
    page.focus("#name")
    page.keyboard.type("keys only")
    for _ in range(20):
        listener.press("Tab")
        if page.evaluate("document.activeElement.name === 'test'"):
            break
    for _ in range(len(MODES) + 2):
        if page.evaluate("document.activeElement.value === 'mos'"):
            break
        listener.press("ArrowDown")
    listener.press("Enter")
    listener.loaded()
    listener.press("?")
    assert page.is_visible("#help")
    listener.press("Escape")
    listener.hear().answer("3")
    assert page.evaluate("document.activeElement.textContent").startswith("Next trial")
    listener.next().hear()
    # Tab reaches every control, and each shows that it is the one.
    reached = set()
    for _ in range(30):
        listener.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"))
        assert page.evaluate(
            "document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== 'none'"
        )
    assert {"Keys", "Leave", "Play clip A", "Position in clip A", "Play the voice", "1Bad", "5Excellent"} <= reached
    listener.answer("5").next()
    assert listener.done()
    assert [one.answer for one in answers(server, "keys only")] == [{"A": 3}, {"A": 5}]


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True)])
def test_nothing_serious_for_axe_and_nothing_wider_than_the_window(server, listen, size, dark):
    entrance = listen(server, "", size=size, dark=dark)
    fine(entrance)
    for mode in MODES:
        listener = listen(server, mode, size=size, dark=dark).begin()
        fine(listener)
        listener.hear()
        fine(listener)
        listener.answer(KEY[mode])
        fine(listener)
    for dialog in ("keys", "leave"):
        listener.page.click(f"#{dialog}")
        fine(listener)
        listener.press("Escape")
    listener.page.focus(".told .primary")  # closed, a dialog gives the keyboard back to what opened it
    listener.next().hear().answer().next()
    assert listener.done()
    fine(listener)


def fine(listener):
    """No serious fault of accessibility, nothing cut off, nothing small, no complaint of the browser."""
    assert listener.seen.faults() == []
    assert listener.seen.overflow() == 0
    assert listener.seen.said == []
    small = listener.page.eval_on_selector_all(
        "button:not([hidden])",
        "all => all.filter((one) => one.offsetParent && one.getBoundingClientRect().height < 44).map((one) => one.textContent)",
    )
    assert small == []

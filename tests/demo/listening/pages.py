"""A listener at the page of the test, in a real browser: what is pressed, and what the page says."""

from contextlib import contextmanager

PLAYING = "document.querySelector('.clip.playing') !== null"
SILENT = f"!({PLAYING})"
LOADED = "document.querySelector('main.trial') !== null && document.querySelectorAll('.trial .play:disabled').length === 0"
ANSWERS = ".answers button"


class Listener:
    """One window; `seen` is what `tests.browser.look` gives."""

    def __init__(self, seen):
        self.seen, self.page = seen, seen.page
        self.seen.until("document.querySelector('form, main.trial') !== null", 30)

    def begin(self, name=""):
        if name:
            self.page.fill("#name", name)
        self.page.click("[type=submit]")
        return self.loaded()

    def loaded(self):
        self.seen.until(LOADED, 30)
        return self

    def press(self, key):
        self.page.keyboard.press(key)

    def hear(self, *labels):
        """Plays clips to their ends, by default all that the trial asks for."""
        for label in labels or self.labels():
            self.press(label)
            self.seen.until(SILENT, 30)
        return self

    def labels(self):
        return self.page.eval_on_selector_all(".clips .play", "all => all.map((one) => one.getAttribute('aria-keyshortcuts'))")

    def locked(self):
        return self.page.eval_on_selector_all(ANSWERS, "all => all.every((one) => one.disabled)")

    def status(self):
        return self.page.inner_text(".status")

    def text(self):
        return self.page.inner_text(".text")

    def place(self):
        return self.page.inner_text("#place")

    def answer(self, key="1"):
        """Answers by a key, for MUSHRA with a rating for each clip, and waits until it is stored."""
        if self.page.query_selector(".rate"):
            for number, label in enumerate(self.labels()):
                self.page.focus(f".clip[aria-label='clip {label}'] .rate")
                self.press("ArrowRight")
                for _ in range(number):
                    self.press("PageUp")
            key = "Enter"
        self.press(key)
        self.told()
        return self

    def told(self):
        self.seen.until("document.querySelector('.told') !== null", 30)

    def names(self):
        """Label -> what the page says that it was, after the answer."""
        return dict(
            self.page.eval_on_selector_all(
                ".clips .clip:has(.whose)",
                "all => all.map((one) => [one.querySelector('.title').textContent,"
                " one.querySelector('.whose').firstChild.textContent])",
            )
        )

    def next(self):
        before = self.place()
        self.press("Enter")
        self.seen.until(
            f"document.querySelector('.finish') !== null || document.getElementById('place').textContent !== {before!r}", 30
        )
        if not self.done():
            self.loaded()
        return self

    def done(self):
        return self.page.query_selector(".finish") is not None

    def code(self):
        return self.page.inner_text(".finish code")

    def bar(self, label):
        """Where a clip's handle is, as a part of the clip."""
        return float(self.page.input_value(f".clip[aria-label='clip {label}'] .track input"))


@contextmanager
def no_connection(page, part="**/api/answer", *, after=False):
    """Requests do not arrive, or with `after`: arrive, and their answers are lost."""

    def lost(route):
        if after:
            route.fetch()
        route.abort()

    page.route(part, lost)
    yield
    page.unroute(part, lost)

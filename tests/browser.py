"""A Chromium to look at pages with, and axe-core to find what readers with other senses would trip over.

`browser`, `look` and `microphone` are fixtures: a conftest.py imports them. They skip where Playwright or a Chromium is missing.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

DESKTOP, PHONE = (1280, 900), (360, 800)  # CSS pixels
GRAVE = ("serious", "critical")  # impacts of axe-core that no page may have
EVERY = ("minor", "moderate", *GRAVE)
PATIENCE = 120  # seconds until a machine that is busy with other work is given up
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Shared:
    """The one Chromium of a session: every module that imports `browser` has a fixture of its own, but Playwright starts once."""

    users = 0
    started: Any = None
    chromium: Any = None

    @classmethod
    def enter(cls) -> Any:
        """Starts it for the first user; skips the test where there is none."""
        if cls.chromium is None:
            playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is missing: pip install lpo-tts[browser]")
            cls.started = playwright.sync_playwright().start()
            try:
                cls.chromium = _launched(cls.started, playwright.Error)
            finally:
                if cls.chromium is None:
                    cls.started.stop()
        cls.users += 1
        return cls.chromium

    @classmethod
    def leave(cls) -> None:
        """Ends it after the last user."""
        cls.users -= 1
        if not cls.users:
            cls.chromium.close()
            cls.started.stop()
            cls.chromium = None


def _launched(started: Any, error: type[Exception], *arguments: str) -> Any:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    path = path or started.chromium.executable_path
    if not Path(path).exists():
        pytest.skip("no Chromium: install the package chromium, or run `playwright install chromium`")
    # Within a container root has no sandbox; the pages are our own.
    own = ["--no-sandbox"] if os.geteuid() == 0 else []
    try:
        return started.chromium.launch(executable_path=path, args=[*own, *arguments], timeout=1000 * PATIENCE)
    except error as fault:  # such as a library of the system that it needs
        pytest.skip(f"Chromium does not start: {str(fault).splitlines()[0]}")


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for all tests of a session: the machine's own, else Playwright's."""
    yield Shared.enter()
    Shared.leave()


@dataclass
class Seen:
    """An open page.

    Attributes:
        page: Playwright's page.
        said: what stood in the console: warnings, errors, and exceptions that nobody caught.
    """

    page: Any
    said: list[str] = field(default_factory=list)

    def faults(self, impacts: tuple[str, ...] = GRAVE) -> list[str]:
        """What axe-core finds of these impacts: "rule: first element"."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in impacts]

    def until(self, expression: str, seconds: float = 30.0) -> None:
        """Waits for an expression to become true; Playwright's own way is one that a content security policy forbids."""
        for _ in range(round(seconds / 0.05)):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"not true within {seconds:g} s: {expression}")

    def overflow(self) -> int:
        """CSS pixels by which the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.fixture
def look(browser):
    """A function that opens a page: `look(path_or_url, size=PHONE, dark=True, scripts=False)`; closed after the test."""
    with contextlib.ExitStack() as stack:

        def opened(target: Path | str, *, size: tuple[int, int] = DESKTOP, dark: bool = False, scripts: bool = True) -> Seen:
            return stack.enter_context(_open(browser, target, size, dark, scripts))

        yield opened


@pytest.fixture
def microphone(browser):
    """A function that opens a page in a Chromium of its own, whose microphone hears a wav file over and over.

    `microphone(address, wav)`; without a file the browser refuses the microphone. `options` are further arguments of Chromium.
    """
    from playwright.sync_api import Error

    with contextlib.ExitStack() as stack:

        def opened(target: str, wav: Path | None = None, *options: str) -> Seen:
            heard = [f"--use-file-for-fake-audio-capture={wav}", "--use-fake-ui-for-media-stream"] if wav is not None else []
            own = _launched(Shared.started, Error, "--use-fake-device-for-media-stream", *heard, *options)
            stack.callback(own.close)
            return stack.enter_context(_open(own, target, DESKTOP, False, True))

        yield opened


@contextlib.contextmanager
def _open(browser: Any, target: Path | str, size: tuple[int, int], dark: bool, scripts: bool) -> Iterator[Seen]:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
    )
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    seen = Seen(page)
    page.on("console", lambda message: seen.said.append(message.text) if message.type in ("warning", "error") else None)
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    page.goto(target.resolve().as_uri() if isinstance(target, Path) else target)
    yield seen
    context.close()

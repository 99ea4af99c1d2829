"""Tests of pages may look at them in a browser."""

from tests.browser import browser, look

__all__ = ["browser", "look"]

"""What every text front end offers: a text as the model was taught to read it."""

from collections.abc import Callable
from typing import Protocol


class FrontEnd(Protocol):
    """Settings of a text front end (a frozen dataclass)."""

    def load(self) -> Callable[[str], str]:
        """A function from a text to what the tokenizer reads; it can be pickled, since token maps can.

        Raises:
            ComponentError: a library or language is missing.
        """
        ...

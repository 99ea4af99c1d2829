"""What the listening test says no to: one line for the listener, and one word for the page."""

from typing import Literal

from lpo_tts.errors import ContractError

Reason = Literal[
    "name",  # no name that can be used
    "name-taken",  # another browser goes by it
    "token",  # nobody has this token
    "test",  # there is no such test
    "trial",  # there is no such trial, or it is another listener's
    "answer",  # the answer has not the form that the mode asks for
    "answered",  # another answer to this trial is stored
    "not-heard",  # a clip was not played to its end
    "too-fast",  # less time has passed than the clips last
    "busy",  # more requests than anybody needs
    "request",  # no JSON object of the right fields, or too large a one
]


class Refused(ContractError):
    """A request that the test does not take; nothing was stored because of it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason

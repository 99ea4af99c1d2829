"""Questions to a server behind a URL: JSON by POST, bounded in time and number, tried again after faults that pass."""

import base64
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from lpo_tts import audio
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.posting.exchange import Address, LastingFault, PassingFault, excerpt, parts_of, value_at

__all__ = ["Fault", "Poster", "Service", "excerpt", "value_at"]

LONGEST_WAIT = 120.0  # ours: seconds between two tries, whatever the server asks for
PATIENCE = 8  # ours: questions in a row without an answer, after which a call gives up the rest unasked
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Service:
    """Settings of a server that is asked by POST: where it is, who asks, and how long and how often.

    Attributes:
        url: address that is posted to, http or https. Recordings are sent to it.
        token_env: name of the environment variable whose value is sent as `Authorization: Bearer VALUE`; null: no such
            header. The value itself stands in no recipe, table or log.
        timeout: seconds for one try, from the connection to the last byte of the answer.
        retries: further tries after a fault that may pass: no connection, a lost one, a timeout, or one of the statuses
            408, 429, 500, 502, 503, 504.
        retry_wait: seconds before the second try, doubled before each further one up to 120 s; a `Retry-After` of the server
            counts instead, up to the same limit.
        parallel_requests: questions that are under way at the same time.
        sample_rate: of the audio that is sent, in Hz; null: as it is.
        send_voice: whether the recording of the voice is sent too.
        min_duration: seconds; shorter audio is not sent.
    """

    url: str
    token_env: str | None = None
    timeout: float = 60.0
    retries: int = 4
    retry_wait: float = 1.0
    parallel_requests: int = 4
    sample_rate: int | None = None
    send_voice: bool = False
    min_duration: float = 0.1

    sends = ("url",)  # settings from elsewhere may not: see SECURITY.md
    bounds = {
        "timeout": above(0),
        "retries": at_least(0),
        "retry_wait": at_least(0),
        "parallel_requests": at_least(1).at_most(64),
        "sample_rate": at_least(audio.MIN_SAMPLE_RATE).at_most(audio.MAX_SAMPLE_RATE),
        "min_duration": at_least(0),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        parts_of(self.url)
        if self.token_env is not None and not self.token_env.isidentifier():
            raise ConfigError(
                f"token_env: expected the name of an environment variable, found {len(self.token_env)} characters that are "
                "none; write the name, and put the secret into the environment"
            )

    def fault(self, waveform: Tensor, rate: int, name: str = "audio") -> str | None:
        """Why a waveform is not sent; None = it is. `rate` is in Hz, `name` what the reason calls it."""
        return audio.unmeasurable(waveform, rate, self.min_duration, name)

    def voice_fault(self, voice: Tensor | None, rate: int | None) -> str | None:
        """Why there is no voice to send; None = there is, or none is to be sent."""
        if not self.send_voice:
            return None
        return "there is no recording of the voice" if voice is None or rate is None else self.fault(voice, rate, "voice")

    def wav(self, waveform: Tensor, rate: int) -> str:
        """A waveform as it is sent: a mono 16-bit wav file in base64; what exceeds full scale is clipped.

        Args:
            waveform: (num_samples,) finite float, full scale is [-1, 1].
            rate: its sample rate in Hz.
        """
        wanted = self.sample_rate or rate
        return base64.b64encode(audio.wav_bytes(audio.resample(waveform, rate, wanted), wanted)).decode()

    def voice_wav(self, voice: Tensor | None, rate: int | None) -> dict[str, str]:
        """The voice in a question; nothing where it is not to be sent."""
        return {"voice": self.wav(voice, rate)} if self.send_voice and voice is not None and rate is not None else {}

    def connect(self) -> "Poster":
        """What asks; raises ComponentError where the environment variable is missing, or no header can hold its value."""
        return Poster(self)


@dataclass(frozen=True)
class Fault:
    """Why a question has no answer, in words."""

    reason: str


@dataclass
class _Tries:
    """What a call knows of the server: how many questions in a row went without an answer."""

    lost: int = 0
    heard: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, *, answered: bool) -> None:
        with self.lock:
            self.lost = 0 if answered else self.lost + 1
            self.heard |= answered

    def pause(self, seconds: float) -> bool:
        """Waits; returns whether the call was given up meanwhile."""
        return self.stop.wait(min(seconds, LONGEST_WAIT))


class Poster:
    """Asks one server; its answers come in the order of the questions."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._address = Address(service.url, service.timeout)
        self._token = _token(service.token_env)
        self._there = True  # whether the last call had any answer

    def ask(self, items: Sequence[Item], question: Callable[[Item], Mapping[str, Any]]) -> list[dict[str, Any] | Fault]:
        """The server's answer to each question, a JSON object, or why there is none.

        A call that got no answer to 8 questions in a row gives up the rest of them, and the next call tries each of its
        questions once, until one is answered: a server that is gone costs no hours.

        Args:
            items: what is asked about.
            question: item -> the object that is posted; called when its turn comes, so that few are in memory.
        """
        if not items:
            return []
        tries = _Tries()
        retries = self.service.retries if self._there else 0
        with ThreadPoolExecutor(min(self.service.parallel_requests, len(items)), "post") as pool:
            try:
                found = list(pool.map(lambda item: self._answer(item, question, retries, tries), items))
            except BaseException:
                tries.stop.set()  # an interrupt does not wait for threads that wait
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        self._there = tries.heard
        return found

    def _answer(
        self, item: Item, question: Callable[[Item], Mapping[str, Any]], retries: int, tries: _Tries
    ) -> dict[str, Any] | Fault:
        if tries.lost >= PATIENCE:
            return Fault(f"not asked: the server gave no answer to {PATIENCE} questions in a row")
        body = json.dumps(question(item), allow_nan=False).encode()
        for number in range(retries + 1):
            try:
                answer = self._address.post(body, self._headers, self._token)
            except LastingFault as error:
                tries.note(answered=True)
                return Fault(self._hidden(str(error)))
            except PassingFault as error:
                reason, wait = str(error), error.wait
            else:
                tries.note(answered=True)
                return answer
            if number == retries or tries.pause(self.service.retry_wait * 2**number if wait is None else wait):
                break
        tries.note(answered=False)
        return Fault(self._hidden(f"{reason} ({number + 1} {'try' if number == 0 else 'tries'})"))

    @property
    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        return headers if self._token is None else {**headers, "Authorization": f"Bearer {self._token}"}

    def _hidden(self, reason: str) -> str:
        """Without the token."""
        return reason if self._token is None else reason.replace(self._token, "***")


def _token(name: str | None) -> str | None:
    if name is None:
        return None
    token = os.environ.get(name, "").strip()
    if not token:
        raise ComponentError(f"token_env: the environment variable {name} is not set; set it to the token of the server")
    if not token.isascii() or not token.isprintable():
        raise ComponentError(f"token_env: the value of {name} is no plain line of text, which a header needs; set it anew")
    return token

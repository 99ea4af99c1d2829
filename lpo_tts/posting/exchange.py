"""One question to a server and its answer, JSON by POST, within a time that holds for the whole of it."""

import email.utils
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.files import loads

PASSING = frozenset({408, 429, 500, 502, 503, 504})  # statuses of faults that may be gone a moment later
LARGEST_ANSWER = 1 << 20  # ours: bytes; a score takes a hundred
EXCERPT = 200  # ours: characters of a server's words in a reason


class PassingFault(Exception):
    """A fault that may be gone a moment later."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class LastingFault(Exception):
    """A fault that another try does not mend."""


class Address:
    """Where questions are posted to.

    Redirects are not followed, so that recordings and token go to the address of the recipe alone. Proxies are not used.

    Args:
        url: http or https.
        timeout: seconds for one exchange, from the connection to the last byte of the answer.

    Raises:
        ConfigError: nothing can be posted to this URL, or it holds a password.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.timeout = timeout
        self._url = parts_of(url)
        self._context = ssl.create_default_context() if self._url.scheme == "https" else None

    def post(self, body: bytes, headers: Mapping[str, str], secret: str | None = None) -> dict[str, Any]:
        """Posts JSON, and returns the object that comes back.

        Args:
            body: JSON.
            headers: of the request.
            secret: text that is replaced in the answer, should the server repeat it.

        Raises:
            PassingFault: no answer, for a reason that may be gone a moment later.
            LastingFault: no answer, or one that is no JSON object.
        """
        try:
            with self._connection() as (connection, late):
                try:
                    connection.request("POST", self._target, body, dict(headers))
                    response = connection.getresponse()
                    data = response.read(LARGEST_ANSWER + 1)
                    if response.length and len(data) <= LARGEST_ANSWER:
                        raise http.client.IncompleteRead(data, response.length)
                except (OSError, http.client.HTTPException):
                    if late.is_set():
                        raise TimeoutError from None
                    raise
                if late.is_set():  # a body without a length ends with the connection
                    raise TimeoutError
        except TimeoutError as error:
            raise PassingFault(f"no answer within {self.timeout:g} s") from error
        except ssl.SSLError as error:
            raise LastingFault(f"no secure connection: {error.reason or error}") from error
        except socket.gaierror as error:
            kind = PassingFault if error.errno == socket.EAI_AGAIN else LastingFault
            raise kind(f"no address of {self._url.hostname!r}: {error.strerror}") from error
        except (OSError, http.client.IncompleteRead) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise PassingFault(f"no connection, or a lost one: {words}") from error
        except http.client.HTTPException as error:
            raise LastingFault(f"expected an answer in HTTP, found another one: {type(error).__name__}") from error
        if secret is not None:
            data = data.replace(secret.encode(), b"***")
        return _read(response, data)

    @contextmanager
    def _connection(self) -> Iterator[tuple[http.client.HTTPConnection, threading.Event]]:
        """A connection that is cut when the time of one try is over, and whether it was.

        The timeout of a socket counts from byte to byte, so a server that sends one now and then would hold it for ever.
        """
        where, timeout = (self._url.hostname or "", self._url.port), self.timeout
        if self._context is not None:
            connection = http.client.HTTPSConnection(*where, timeout=timeout, context=self._context)
        else:
            connection = http.client.HTTPConnection(*where, timeout=timeout)
        late = threading.Event()
        started = time.monotonic()
        connection.connect()
        cut = threading.Timer(max(0.0, timeout - (time.monotonic() - started)), _cut, (connection.sock, late))
        cut.daemon = True
        cut.start()
        try:
            yield connection, late
        finally:
            cut.cancel()
            connection.close()

    @property
    def _target(self) -> str:
        return (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")


def value_at(answer: Mapping[str, Any], key: str) -> Any:
    """What stands in an answer under a dotted key; raises KeyError with the part that is not there."""
    found: Any = answer
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise KeyError(part)
        found = found[part]
    return found


def excerpt(value: Any) -> str:
    """A value in one short line."""
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= EXCERPT else text[: EXCERPT - 3] + "..."


def _cut(sock: socket.socket, late: threading.Event) -> None:
    late.set()
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # of the connection below TLS too
    except OSError:  # closed a moment before
        return


def parts_of(url: str) -> SplitResult:
    """A URL in its parts; raises ConfigError for what nothing can be posted to, and for one that holds a password."""
    try:
        found = urlsplit(url)
        secret, usable = found.username or found.password, found.hostname and (found.port is None or found.port > 0)
    except ValueError as error:
        raise ConfigError(f"url: expected http://HOST[:PORT]/PATH or https://..., found {url!r} ({error})") from error
    if secret:
        raise ConfigError("url: found a user or password in it; leave it out and name an environment variable as token_env")
    if found.scheme not in ("http", "https") or not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"url: expected http://HOST[:PORT]/PATH or https://..., found {url!r}")
    return found


def _read(response: http.client.HTTPResponse, data: bytes) -> dict[str, Any]:
    """The object of an answer; raises PassingFault or LastingFault for anything else."""
    if response.status in PASSING:
        raise PassingFault(_status(response, data), _retry_after(response.headers.get("Retry-After")))
    if not 200 <= response.status < 300:
        raise LastingFault(_status(response, data))
    if len(data) > LARGEST_ANSWER:
        raise LastingFault(f"the answer is longer than {LARGEST_ANSWER} bytes")
    try:
        found = loads(data.decode("utf-8-sig"), "the answer")
    except UnicodeDecodeError as error:
        raise LastingFault("the answer: expected JSON in UTF-8, found other bytes") from error
    except ArtefactError as error:
        raise LastingFault(f"{excerpt(str(error))}, found {excerpt(data.decode('utf-8', 'replace'))!r}") from error
    if not isinstance(found, dict):
        raise LastingFault(f"the answer: expected a JSON object, found {excerpt(found)}")
    return found


def _status(response: http.client.HTTPResponse, data: bytes) -> str:
    words = excerpt(data[: 4 * EXCERPT].decode("utf-8", "replace"))
    moved = response.headers.get("Location") if 300 <= response.status < 400 else None
    text = f"the server answers with status {response.status}" + (f": {ascii(words)[1:-1]}" if words else "")
    return f"{text}; it points to {excerpt(moved)}, and redirects are not followed" if moved else text


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, by a header that holds a number or a date; None where it holds neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None

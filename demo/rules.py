"""What the demo's gate goes by: names, origins, logins and limits, and where uploads lie."""

import ipaddress
import re
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from demo.listening.rates import Rate
from demo.login import Login
from lpo_tts.errors import ConfigError

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:@/\[\]\s]+)(?::[0-9]{1,5})?")


class Rules:
    """What the gate goes by; read at each request, so that an address can be added when it is known.

    Attributes:
        folder: where Gradio keeps uploads and clips; no other file can be asked for.
        login: who may open all but the listening test; None = everybody.
        invitation: part of the listeners' address where there is a login.
        frames: origins of pages that may hold the demo in a frame, beside its own.
        hosts: names that the server may be asked by, with a port where that one alone will do; None = any.
        numbers: it may be asked by any address in numbers too.
    """

    def __init__(self, folder: Path, login: Login | None = None, invitation: str = "", frames: Sequence[str] = ()) -> None:
        self.folder = folder.resolve()
        self.login, self.invitation = login, invitation
        self.frames = tuple(_origin(one) for one in frames)
        self.hosts: set[str] | None = None
        self.numbers = False
        self.uploads = Rate(30, 0.2)

    @property
    def ancestors(self) -> str:
        """As `frame-ancestors` of a content security policy."""
        return " ".join(("'self'", *self.frames))

    def goes_by(self, host: str, port: int) -> None:
        """From now on the server answers to its own names alone, so that no web page can pose as it.

        A page of another site may turn its own name to the server's address, and then counts as a page of the server. Its
        requests bear that name, which is no address in numbers. A server that others reach may stand behind another port.

        Args:
            host: what the server listens on.
            port: the same.
        """
        if is_loopback(host):
            self.hosts = {f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]", _bracketed(host))}
        else:
            own = socket.gethostname().lower()
            short = own.partition(".")[0]
            self.hosts = {"localhost", host.lower(), own, short, f"{short}.local"}
            self.numbers = True

    def also(self, address: str) -> None:
        """Allows one more address, such as a public link; its port does not count, as a proxy may change it."""
        if self.hosts is not None:
            self.hosts.add(name_of(address))

    def answers_to(self, host: str) -> bool:
        """Whether the server may be asked by what a header `Host` says."""
        if self.hosts is None:
            return True
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        return found[0] in self.hosts or found[1] in self.hosts or (self.numbers and _is_number(found[1]))


def name_of(address: str) -> str:
    """The name in an address; raises ConfigError for what is no address of the web."""
    try:
        parts = urlsplit(address)
        name = parts.hostname if parts.scheme in ("http", "https") else None
    except ValueError:  # a bracket that is not closed
        name = None
    if not name:
        raise ConfigError(f"--address: expected an address such as https://listen.example.org, found {address!r}")
    return _bracketed(name)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is that of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(text: str) -> str:
    """Raises ConfigError for what is no origin, and could change a header."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or set(text) & set(" ;,'\"\r\n"):
        raise ConfigError(f"--frame: expected an origin such as https://huggingface.co, found {text!r}")
    return f"{parts.scheme}://{parts.netloc}"


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def fresh_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for uploads and clips that nobody else on this machine can read; it goes with the object."""
    return tempfile.TemporaryDirectory(prefix="lpo-tts-demo-")

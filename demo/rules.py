"""What the demo's gate goes by: names, origins, logins and limits, and where uploads lie."""

import ipaddress
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from demo.listening.rates import Rate
from demo.login import Login
from lpo_tts.errors import ConfigError


class Rules:
    """What the gate goes by; read at each request, so that an address can be added when it is known.

    Attributes:
        folder: where Gradio keeps uploads and clips; no other file can be asked for.
        login: who may open all but the listening test; None = everybody.
        invitation: part of the listeners' address where there is a login.
        frames: origins of pages that may hold the demo in a frame, beside its own.
        hosts: names that the server may be asked by; None = any.
    """

    def __init__(self, folder: Path, login: Login | None = None, invitation: str = "", frames: Sequence[str] = ()) -> None:
        self.folder = folder.resolve()
        self.login, self.invitation = login, invitation
        self.frames = tuple(_origin(one) for one in frames)
        self.hosts: set[str] | None = None
        self.uploads = Rate(30, 0.2)

    @property
    def ancestors(self) -> str:
        """As `frame-ancestors` of a content security policy."""
        return " ".join(("'self'", *self.frames))

    def only_here(self, host: str, port: int) -> None:
        """A server of this machine alone is asked by this machine's names alone, so that no web page can pose as it."""
        if is_loopback(host):
            self.hosts = {f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]")} | {_bracketed(host) + f":{port}"}

    def also(self, address: str) -> None:
        """Allows one more address, such as a public link."""
        if self.hosts is not None:
            self.hosts.add(urlsplit(address).netloc.lower())


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


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def fresh_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for uploads and clips that nobody else on this machine can read; it goes with the object."""
    return tempfile.TemporaryDirectory(prefix="lpo-tts-demo-")

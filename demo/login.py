"""Who may open the demo: passwords as scrypt hashes, sessions in memory. As a command it makes a line for `--login`."""

import argparse
import base64
import binascii
import getpass
import hashlib
import hmac
import os
import secrets
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

if not __package__:  # run as a file: the repository's root takes the place of its folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from demo.listening.rates import Rate
from lpo_tts.errors import ConfigError, exit_code
from lpo_tts.files import read_lines

PASSWORD = "LPO_TTS_DEMO_PASSWORD"  # environment variable: one password for everybody; never an option, which `ps` shows
SHORTEST = 8  # ours: characters of a password
COST = 2**14, 8, 1  # scrypt's n, r, p: 16 MiB and some 50 ms for each attempt
MAX_COST = 2**17, 8, 4
SALT, KEY = 16, 32  # bytes
LASTS = 12 * 3600  # seconds of a session
MOST_SESSIONS = 1000
ATTEMPTS, FAILURES = (10, 0.2), (100, 0.5)  # at once, and per second after that: of one address; failed, of all together
TOO_MANY = "too many attempts; wait a minute, then try again"
NOBODY = "nobody"  # name of the user behind the one password


class Login:
    """The users of a demo, and who of them is logged in.

    Args:
        users: name -> hash, as `hashed` makes it.
        clock: Unix time.
    """

    def __init__(self, users: Mapping[str, str], clock: Callable[[], float] = time.time) -> None:
        self._users = {name: _parsed(line, f"the hash of {name}") for name, line in users.items()}
        self._clock = clock
        self._sessions: OrderedDict[str, float] = OrderedDict()  # digest of the token -> end
        self._lock = threading.Lock()
        self._attempts = Rate(*ATTEMPTS)
        self._failures = Rate(*FAILURES)
        self._hashing = threading.Lock()  # one at a time, so that attempts cannot fill memory
        self._nobody = _parsed(hashed(secrets.token_urlsafe(SALT)), "")

    @property
    def asks_name(self) -> bool:
        """There are users with names, and not one password for everybody."""
        return list(self._users) != [NOBODY]

    def enter(self, name: str, password: str, address: str) -> str | None:
        """A token for the right name and password; else None.

        Args:
            name: of the user; anything where there is one password for everybody.
            password: in clear.
            address: of the client, whose attempts are counted.

        Raises:
            ConfigError: too many attempts from this address, or too many that failed from all addresses together.
        """
        if not self._attempts.take(address):
            raise ConfigError(TOO_MANY)
        known = self._users.get(name if self.asks_name else NOBODY)
        with self._hashing:
            # Whoever has many addresses, or writes them into a header that a proxy passes on, has no more passwords to try.
            if not self._failures.has_left():
                raise ConfigError(TOO_MANY)
            # As long for a name that nobody has, so that the time tells nothing.
            right = _matches(known or self._nobody, password) and known is not None
            if not right:
                self._failures.take()
        if not right:
            return None
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[_digest(token)] = self._clock() + LASTS
            while len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return token

    def knows(self, token: str) -> bool:
        """Whether a token is that of somebody who is logged in."""
        with self._lock:
            return self._sessions.get(_digest(token), 0.0) > self._clock()

    def leave(self, token: str) -> None:
        """Ends a session."""
        with self._lock:
            self._sessions.pop(_digest(token), None)


def login_of(path: Path | None, environment: Mapping[str, str] = os.environ) -> Login | None:
    """The login of a file, or of the environment's one password; None where there is neither.

    Args:
        path: file of lines `user:hash`; empty lines and those that begin with # do not count.
        environment: variables.

    Raises:
        ConfigError: both are given, the password is too short, or a line of the file is wrong.
        ArtefactError: the file cannot be read.
    """
    password = environment.get(PASSWORD)
    if path is None:
        return None if password is None else Login({NOBODY: hashed(password, PASSWORD)})
    if password is not None:
        raise ConfigError(f"expected --login or the environment variable {PASSWORD}, found both; leave one out")
    users: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        if not name or name in users:
            raise ConfigError(f"{path}:{number}: expected user:hash, and each user once; make lines with `python -m demo.login`")
        _parsed(rest, f"{path}:{number}")
        users[name] = rest
    if not users:
        raise ConfigError(f"{path}: expected at least one user, found none; make a line with `python -m demo.login`")
    return Login(users)


def hashed(password: str, where: str = "the password") -> str:
    """A password as a line that does not tell it; raises ConfigError for one that is too short."""
    if len(password) < SHORTEST:
        raise ConfigError(f"{where}: expected at least {SHORTEST} characters, found {len(password)}; choose a longer one")
    salt = secrets.token_bytes(SALT)
    key = _key(password, salt, COST)
    numbers = "$".join(map(str, COST))
    return f"scrypt${numbers}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


Hash = tuple[tuple[int, int, int], bytes, bytes]  # cost, salt, key


def _parsed(line: str, where: str) -> Hash:
    """Raises ConfigError for what is no hash, or one that would take too much memory or time."""
    kind, *rest = line.split("$")
    try:
        n, r, p = (int(one) for one in rest[:3])
        salt, key = (base64.b64decode(one, validate=True) for one in rest[3:])
    except (ValueError, binascii.Error):
        kind, n, r, p, salt, key = "", 0, 0, 0, b"", b""
    fits = n >= 2 and n & (n - 1) == 0 and all(0 < one <= most for one, most in zip((n, r, p), MAX_COST, strict=True))
    if kind != "scrypt" or not fits or len(salt) < SALT or len(key) != KEY:
        raise ConfigError(f"{where}: expected a hash, scrypt$n$r$p$salt$key; make it with `python -m demo.login`")
    return (n, r, p), salt, key


def _matches(known: Hash, password: str) -> bool:
    cost, salt, key = known
    return hmac.compare_digest(_key(password, salt, cost), key)


def _key(password: str, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r + 2**20, dklen=KEY)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="demo/login.py", description="Asks for a password, and prints the line of a user for the file of --login."
    )
    parser.add_argument("user", help="name of the user")
    options = parser.parse_args(arguments)
    return exit_code("demo/login.py", lambda: print(_line(options.user)))


def _line(user: str) -> str:
    if not user or ":" in user or not user.isprintable() or user.startswith("#"):
        raise ConfigError(f"expected a user's name without a colon, found {user!r}")
    interactive = sys.stdin.isatty()
    password = getpass.getpass() if interactive else sys.stdin.readline().rstrip("\r\n")
    if interactive and getpass.getpass("Again: ") != password:
        raise ConfigError("the two passwords differ; try again")
    return f"{user}:{hashed(password)}"


if __name__ == "__main__":
    sys.exit(main())

"""What stands before every page of the demo: who may ask, from where, for what, and how much; and the headers of answers."""

import ipaddress
import json
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.bodies import paths, read_body, replayed, size_of
from demo.listening.rates import Rate
from demo.login import LASTS, Login
from demo.login_page import page
from lpo_tts.errors import ConfigError

SESSION, INVITATION = "lpo-tts-session", "lpo-tts-invitation"  # cookies
TEST = "/listen"
API = "/gradio_api/"
# What Gradio's page asks for. Its other routes are proxies, editors and counters that this demo has no use for.
PAGES = frozenset(
    {"/", "/config", "/config/", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", TEST, "/login", "/logout"}
)
FILES = ("/static/", "/assets/", "/svelte/", "/pwa_icon", "/clips/", "/run-files/")  # Gradio's, and the demo's own
SHUT_IN = "/run-files/"  # pages in a sandbox, whose origin is no other's: they could not play the recordings they link
CALLS = ("queue/join", "queue/data", "queue/status", "upload", "upload_progress", "startup-events", "info", "theme.css", "app_id",
         "cancel", "reset")  # fmt: skip
PARTS = ("heartbeat/", "file=")
MAX_BODY = 1 << 20  # bytes of a request that is no upload
MAX_UPLOAD = 20 << 20  # bytes of a recording: 30 s of stereo at 96 kHz and 24 bits hold 17 MB
MAX_KEPT = 1 << 30  # bytes of all uploads and clips on the disk; Gradio deletes those older than an hour

OPEN_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)  # Gradio writes its page with scripts and styles within it
FILE_POLICY = "default-src 'none'; sandbox"  # what somebody uploaded is no page


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


class Gate:
    """The middleware: everything that is refused is refused here, before any page sees it."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":  # no page of the demo uses one
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = self._with_headers(scope, send)
        refused = self._wrong_address(scope) or self._no_such_page(scope) or await self._stranger(scope, receive)
        if refused is not None:
            await refused(scope, receive, send)
            return
        body = await self._body(scope, receive)
        if isinstance(body, Response):
            await body(scope, receive, send)
            return
        await self.app(scope, body, send)

    def _wrong_address(self, scope: Scope) -> Response | None:
        """Another site's page that asks in its reader's name, or that has taken this server's address for its own name."""
        headers = Headers(scope=scope)
        host, hosts = headers.get("host", "").lower(), self.rules.hosts
        if hosts is not None and host not in hosts:
            return _said(421, f"this server does not go by the name {host[:100]!a}; start it with --address http://NAME")
        origin = headers.get("origin")
        forwarded = headers.get("x-forwarded-host", "").partition(",")[0].strip().lower()
        if origin is not None and urlsplit(origin.lower()).netloc not in {host, forwarded} - {""}:
            return _said(403, "another site's page may not ask here")
        return None

    def _no_such_page(self, scope: Scope) -> Response | None:
        path = scope["path"]
        if (
            path in PAGES
            or path.startswith(FILES)
            or path == TEST
            or path.startswith(f"{TEST}/")
            or path in ("/login", "/logout")
        ):
            return None
        name = path.removeprefix(API)
        known = path.startswith(API) and (name.rstrip("/") in CALLS or name.startswith(PARTS) or _streamed(scope, name))
        if known and (not name.startswith("file=") or self._kept(name.removeprefix("file="))):
            return None
        return _said(404, "there is no such page")

    def _kept(self, path: str) -> bool:
        """Whether a path is one of an upload or a clip; links are followed first."""
        try:
            return Path(path).is_absolute() and Path(path).resolve().is_relative_to(self.rules.folder)
        except (OSError, ValueError):  # a name that no file can have, or links in a circle
            return False

    # Who asks

    async def _stranger(self, scope: Scope, receive: Receive) -> Response | None:
        login, path = self.rules.login, scope["path"]
        if login is None:
            return _said(404, "there is no login here") if path in ("/login", "/logout") else None
        cookies, at = _cookies(scope), path.startswith(TEST)
        session = cookies.get(SESSION, "")
        if path == "/login":
            return await self._login(login, scope, receive)
        if path == "/logout":
            login.leave(session)
            return self._with_cookie(RedirectResponse("/login", 303), scope, SESSION, "", 0)
        if login.knows(session):
            return None
        if at:
            return self._uninvited(scope, cookies)
        if path == "/" and scope["method"] in ("GET", "HEAD"):
            return RedirectResponse("/login", 303)
        return _said(401, "log in first")

    def _uninvited(self, scope: Scope, cookies: Mapping[str, str]) -> Response | None:
        """The listening test is open to whoever has followed the listeners' address once."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        shown = dict(query).get("invitation", "")
        if _same(shown, self.rules.invitation):
            rest = urlencode([one for one in query if one[0] != "invitation"])
            moved = RedirectResponse(f"{TEST}/{'?' if rest else ''}{rest}", 303)
            return self._with_cookie(moved, scope, INVITATION, shown, 90 * 24 * 3600)
        if _same(cookies.get(INVITATION, ""), self.rules.invitation):
            return None
        said = "This listening test is by invitation: open the whole address that you were given, and allow cookies."
        return page(said, form=False, status=401) if scope["path"].rstrip("/") == TEST else _said(401, said)

    async def _login(self, login: Login, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return page("", asks_name=login.asks_name)
        data = await read_body(receive, 4096)
        fields = dict(parse_qsl((data or b"").decode("utf-8", "replace"), max_num_fields=10))
        address = (scope.get("client") or ("",))[0]
        try:
            token = await run_in_threadpool(login.enter, fields.get("user", ""), fields.get("password", ""), address)
        except ConfigError as error:
            return page(f"{str(error).capitalize()}.", asks_name=login.asks_name, status=429)
        if token is None:
            return page("This name or password is not right.", asks_name=login.asks_name, status=401)
        return self._with_cookie(RedirectResponse("/", 303), scope, SESSION, token, LASTS)

    def _with_cookie(self, response: Response, scope: Scope, name: str, value: str, seconds: int) -> Response:
        secure = scope["scheme"] == "https"
        # Within another site's frame a browser sends a cookie only so; requests of other sites are refused by their origin.
        site = "SameSite=None; Partitioned" if secure and self.rules.frames else "SameSite=Lax"
        tail = f"Max-Age={seconds}; Path=/; HttpOnly; {site}{'; Secure' if secure else ''}"
        response.headers.append("set-cookie", f"{name}={value}; {tail}")
        response.headers["cache-control"] = "no-store"
        return response

    # What is sent

    async def _body(self, scope: Scope, receive: Receive) -> Receive | Response:
        """The body, or what is said against it: it is read as a whole before any page sees it, but for uploads."""
        path, length = scope["path"], Headers(scope=scope).get("content-length")
        upload = path.rstrip("/") == f"{API}upload"
        limit = MAX_UPLOAD + 64 * 1024 if upload else MAX_BODY
        if length is not None and not (length.isdecimal() and len(length) < 16 and int(length) <= limit):
            return _too_much(limit)
        if upload:
            if length is None:  # the server reads no more than what a length tells
                return _said(411, "expected an upload that tells its length")
            if not self.rules.uploads.take():
                return _said(429, "too many uploads; wait a minute, then try again")
            if await run_in_threadpool(size_of, self.rules.folder) > MAX_KEPT:
                return _said(507, "there is no room for more uploads; try again in an hour")
        if upload or scope["method"] not in ("POST", "PUT", "PATCH") or not path.startswith(API):
            return receive
        data = await read_body(receive, limit)
        if data is None:
            return _too_much(limit)
        if not self._harmless(data):
            return _said(400, "expected JSON that names uploads of this server, and no other files or addresses")
        return replayed(data, receive)

    def _harmless(self, data: bytes) -> bool:
        """Gradio fetches an address that stands where a file is expected; here only uploads and clips may stand there."""
        try:
            found = json.loads(data or b"null")
        except (ValueError, RecursionError):
            return False
        return all(self._kept(path) for path in paths(found))

    # What is answered

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        policy = FILE_POLICY if scope["path"].startswith(f"{API}file") else OPEN_POLICY

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                own = headers.get("content-security-policy", policy)
                frames = "" if "frame-ancestors" in own else f"; frame-ancestors {self.rules.ancestors}"
                headers["content-security-policy"] = own + frames
                headers.setdefault("x-content-type-options", "nosniff")
                headers.setdefault("referrer-policy", "same-origin")
                if not scope["path"].startswith(SHUT_IN):
                    headers.setdefault("cross-origin-opener-policy", "same-origin")
                    headers.setdefault("cross-origin-resource-policy", "same-origin")
                headers.setdefault("permissions-policy", "camera=(), geolocation=(), microphone=(self)")
                if not self.rules.frames:
                    headers.setdefault("x-frame-options", "SAMEORIGIN")
            await send(message)

        return sending


def _streamed(scope: Scope, name: str) -> bool:
    """Sound that is played while it is made is fetched; nothing is sent to such an address."""
    return name.startswith("stream/") and scope["method"] in ("GET", "HEAD")


def _cookies(scope: Scope) -> dict[str, str]:
    found: SimpleCookie = SimpleCookie()
    try:
        found.load(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in found.items()}


def _same(one: str, other: str) -> bool:
    return bool(other) and secrets.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _said(status: int, message: str) -> Response:
    return JSONResponse({"error": message, "reason": "refused"}, status, headers={"Cache-Control": "no-store"})


def _too_much(limit: int) -> Response:
    return _said(413, f"expected at most {limit >> 20} MiB, found more")


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

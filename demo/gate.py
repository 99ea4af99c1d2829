"""What stands before every page of the demo: who may ask, from where, for what, and how much; and the headers of answers."""

import json
from pathlib import Path
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.bodies import paths, read_body, replayed, size_of
from demo.doors import COOKIE, TEST, Doors, said
from demo.rules import Rules

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


class Gate:
    """The middleware: everything that is refused is refused here, before any page sees it."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules, self.doors = app, rules, Doors(rules)

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
        refused = self._wrong_address(scope) or self._no_such_page(scope) or await self.doors.refuse(scope, receive)
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
        host = headers.get("host", "").lower()
        if not self.rules.answers_to(host):
            return said(421, f"this server does not go by the name {host[:100]!a}; start it with --address http://NAME")
        origin = headers.get("origin")
        forwarded = headers.get("x-forwarded-host", "").partition(",")[0].strip().lower()
        if origin is not None and urlsplit(origin.lower()).netloc not in {host, forwarded} - {""}:
            return said(403, "another site's page may not ask here")
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
        return said(404, "there is no such page")

    def _kept(self, path: str) -> bool:
        """Whether a path is one of an upload or a clip; links are followed first."""
        try:
            return Path(path).is_absolute() and Path(path).resolve().is_relative_to(self.rules.folder)
        except (OSError, ValueError):  # a name that no file can have, or links in a circle
            return False

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
                return said(411, "expected an upload that tells its length")
            if not self.rules.uploads.take():
                return said(429, "too many uploads; wait a minute, then try again")
            if await run_in_threadpool(size_of, self.rules.folder) > MAX_KEPT:
                return said(507, "there is no room for more uploads; try again in an hour")
        if upload or scope["method"] not in ("POST", "PUT", "PATCH") or not path.startswith(API):
            return receive
        data = await read_body(receive, limit)
        if data is None:
            return _too_much(limit)
        if not self._harmless(data):
            return said(400, "expected JSON that names uploads of this server, and no other files or addresses")
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
                if COOKIE in scope:
                    headers.append("set-cookie", scope[COOKIE])
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


def _too_much(limit: int) -> Response:
    return said(413, f"expected at most {limit >> 20} MiB, found more")

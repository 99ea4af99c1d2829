"""Who may come in: by a login to everything, by an invitation to the listening test alone."""

import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope

from demo.bodies import read_body
from demo.login import LASTS, Login
from demo.login_page import page
from demo.rules import Rules
from lpo_tts.errors import ConfigError

SESSION, INVITATION = "lpo-tts-session", "lpo-tts-invitation"  # cookies
INVITED = 90 * 24 * 3600  # seconds that a browser keeps an invitation
TEST = "/listen"
COOKIE = "lpo_tts.cookie"  # key of a request's scope: a cookie that its answer is to set


class Doors:
    """The doors of a demo; `rules` say whether there are any."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    async def refuse(self, scope: Scope, receive: Receive) -> Response | None:
        """What is said to whoever may not come in, and the login's own pages; None: come in."""
        login, path = self.rules.login, scope["path"]
        if login is None:
            return said(404, "there is no login here") if path in ("/login", "/logout") else None
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
        return said(401, "log in first")

    def _uninvited(self, scope: Scope, cookies: Mapping[str, str]) -> Response | None:
        """The listening test is open to whoever has followed the listeners' address once."""
        shown = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("invitation", "")
        if _same(shown, self.rules.invitation):
            # It stays in the address, so that a listener's return link opens in another browser too.
            scope[COOKIE] = self._cookie(scope, INVITATION, shown, INVITED)
            return None
        if _same(cookies.get(INVITATION, ""), self.rules.invitation):
            return None
        text = "This listening test is by invitation: open the whole address that you were given, and allow cookies."
        return page(text, form=False, status=401) if scope["path"].rstrip("/") == TEST else said(401, text)

    async def _login(self, login: Login, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return page("", asks_name=login.asks_name)
        data = await read_body(receive, 4096)
        try:
            fields = dict(parse_qsl((data or b"").decode("utf-8", "replace"), max_num_fields=10))
        except ValueError:  # more fields than the form has
            fields = {}
        address = (scope.get("client") or ("",))[0]
        try:
            token = await run_in_threadpool(login.enter, fields.get("user", ""), fields.get("password", ""), address)
        except ConfigError as error:
            return page(f"{str(error).capitalize()}.", asks_name=login.asks_name, status=429)
        if token is None:
            return page("This name or password is not right.", asks_name=login.asks_name, status=401)
        return self._with_cookie(RedirectResponse("/", 303), scope, SESSION, token, LASTS)

    def _with_cookie(self, response: Response, scope: Scope, name: str, value: str, seconds: int) -> Response:
        response.headers.append("set-cookie", self._cookie(scope, name, value, seconds))
        response.headers["cache-control"] = "no-store"
        return response

    def _cookie(self, scope: Scope, name: str, value: str, seconds: int) -> str:
        secure = scope["scheme"] == "https"
        # Within another site's frame a browser sends a cookie only so; requests of other sites are refused by their origin.
        site = "SameSite=None; Partitioned" if secure and self.rules.frames else "SameSite=Lax"
        return f"{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; {site}{'; Secure' if secure else ''}"


def _cookies(scope: Scope) -> dict[str, str]:
    found: SimpleCookie = SimpleCookie()
    try:
        found.load(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in found.items()}


def _same(one: str, other: str) -> bool:
    return bool(other) and secrets.compare_digest(one.encode("utf-8", "replace"), other.encode())


def said(status: int, message: str) -> Response:
    """A refusal, in one line."""
    return JSONResponse({"error": message, "reason": "refused"}, status, headers={"Cache-Control": "no-store"})

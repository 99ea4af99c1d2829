"""The listening test on the web: its page, a small JSON API, and the clips, whose addresses tell nothing about them."""

import asyncio
import functools
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from demo.listening import modes
from demo.listening.modes import REFERENCE, X
from demo.listening.rates import Rate
from demo.listening.refusals import Reason, Refused
from demo.listening.sittings import Sittings, Standing, Step, Test
from demo.listening.sounds import VOICE, Wav
from lpo_tts.errors import ArtefactError, LpoTtsError
from lpo_tts.files import loads

log = logging.getLogger("demo.listening")

PAGE = Path(__file__).with_name("page")
MAX_BODY = 64 * 1024  # bytes of a request; an answer takes less than one thousand
BODY_WAIT = 10.0  # seconds for a request to arrive
NEW_LISTENERS, REQUESTS, PLAYS = (300, 2.0), (200, 20.0), (400, 40.0)  # at once, and per second; of a server, listener, trial
STATUS: Mapping[Reason, int] = {
    "name": 400, "name-taken": 409, "token": 401, "test": 404, "trial": 404, "answer": 400, "answered": 409,
    "not-heard": 409, "too-fast": 409, "busy": 429, "request": 400,
}  # fmt: skip
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_AUDIO = re.compile(rf"([0-9a-f]{{32}})-([{modes.LABELS}]|{X}|{REFERENCE}|{VOICE})\.wav")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
Handler = Callable[[Request], Awaitable[Response]]


def router(sittings: Sittings, prefix: str = "/listen", frames: str = "'self'") -> APIRouter:
    """Everything below `prefix`.

    Args:
        sittings: the tests.
        prefix: of all addresses.
        frames: which pages may hold the test in a frame, as `frame-ancestors` of a content security policy.
    """
    made = APIRouter(prefix=prefix)
    newcomers, requests, plays = Rate(*NEW_LISTENERS), Rate(*REQUESTS), Rate(*PLAYS)
    # The files of the page are listed once: no address can name another one.
    files = {path.name: path for path in sorted(PAGE.glob("*")) if path.suffix in KINDS}
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
        f"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors {frames}"
    )

    def served(path: Path) -> Response:
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return FileResponse(path, media_type=KINDS[path.suffix], headers=headers)

    async def moved(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{prefix.rsplit('/', 1)[-1]}/{query}", status_code=307)

    async def page(request: Request) -> Response:
        return served(files["index.html"]) if "index.html" in files else _said("request", "the page is missing", 404)

    async def file(request: Request) -> Response:
        path = files.get(request.path_params["name"])
        return served(path) if path is not None else _said("request", "there is no such file", 404)

    async def tests(request: Request) -> Response:
        return _json({"tests": [about(test) for test in sittings.tests.values()]})

    async def enter(request: Request) -> Response:
        body = await _body(request)
        name, token, test = (_text(body, key, required=False) for key in ("name", "token", "test"))
        _allowed(requests.take(token) if token else newcomers.take())
        return _json(standing(await run_in_threadpool(sittings.enter, name, token, test)))

    async def trial(request: Request) -> Response:
        token, test = (request.query_params.get(key) for key in ("token", "test"))
        _allowed(requests.take(token or ""))
        found = await run_in_threadpool(sittings.next, _printable(token or ""), test or None)
        return _json(step(found) if isinstance(found, Step) else {**standing(found), "done": True})

    async def answer(request: Request) -> Response:
        body = await _body(request)
        played, whole = _played(body), _labels(body)
        token, name = (str(_text(body, key)) for key in ("token", "trial"))
        _allowed(requests.take(token))
        shown = await run_in_threadpool(sittings.answer, token, name, body.get("answer"), played, whole)
        content = shown.content
        reveal = [asdict(side) for side in content.sides] if content.reveal else []
        return _json({"stored": True, "reveal": reveal, "reference": content.reference if content.reveal else ""})

    async def clip(request: Request) -> Response:
        named = _AUDIO.fullmatch(request.path_params["name"])
        if named is None:
            raise Refused("trial", "there is no such clip")
        _allowed(plays.take(named[1]))
        wanted = request.headers.get("range")
        whole = request.method == "GET" and wanted is None
        return ranged(await run_in_threadpool(functools.partial(sittings.clip, whole=whole), named[1], named[2]), wanted)

    add = functools.partial(made.add_api_route, include_in_schema=False)
    add("", moved, methods=["GET", "HEAD"])
    add("/", page, methods=["GET", "HEAD"])
    add("/api/tests", _told(tests), methods=["GET"])
    add("/api/enter", _told(enter), methods=["POST"])
    add("/api/trial", _told(trial), methods=["GET"])
    add("/api/answer", _told(answer), methods=["POST"])
    add("/audio/{name}", _told(clip), methods=["GET", "HEAD"])
    add("/{name}", file, methods=["GET", "HEAD"])
    return made


def about(test: Test) -> dict[str, Any]:
    """A test as the page shows it before anybody enters."""
    design = test.design
    return {
        "test": design.name,
        "mode": design.mode,
        "title": modes.TITLES[design.mode],
        "question": design.question,
        "ask": test.asked,
        "source": design.source,
    }


def standing(found: Standing) -> dict[str, Any]:
    """How far a listener is."""
    listener = {"token": found.listener.token, "listener": found.listener.name}
    code = {"code": found.code} if found.code is not None else {}
    return {**listener, **about(found.test), "count": found.count, "done": found.done, **code}


def step(found: Step) -> dict[str, Any]:
    """A trial as the page plays it: no name of a system, and no sign of a catch trial."""
    shown, content = found.shown, found.shown.content
    url = {label: f"audio/{shown.id}-{label}.wav" for label in found.wavs}
    seconds = {label: round(wav.seconds, 3) for label, wav in found.wavs.items()}
    open_reference = X if content.mode == "abx" else REFERENCE
    scale = modes.scale_of(content.mode, content.tie)
    return {
        **about(found.standing.test),
        "trial": shown.id,
        "number": found.number,
        "of": found.standing.count,
        "text": found.item.text,
        "voice": url.get(VOICE),
        "voice_seconds": seconds.get(VOICE),
        "reference": url.get(open_reference),
        "reference_seconds": seconds.get(open_reference),
        "clips": [{"label": label, "url": url[label], "seconds": seconds[label]} for label in content.labels],
        "hear": list(modes.to_hear(content.mode, content.labels)),
        "scale": {**asdict(scale), "options": [{"value": value, "text": text} for value, text in scale.options]},
    }


def ranged(wav: Wav, wanted: str | None) -> Response:
    """A clip, or the bytes of it that a `Range` header asks for."""
    headers = {"Cache-Control": "no-store", "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    size, found = len(wav.data), _RANGE.fullmatch(wanted or "")
    if found is None or found[1] == found[2] == "":
        return Response(wav.data, media_type="audio/wav", headers=headers)
    if found[1]:
        first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
    else:  # the last so many bytes
        first, last = max(0, size - int(found[2])), size - 1
    if first >= size or last < first:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Response(wav.data[first : last + 1], status_code=206, media_type="audio/wav", headers=headers)


def _told(handler: Handler) -> Handler:
    """Turns what is refused, and what goes wrong, into one line of JSON; paths of this machine are for its log alone."""

    @functools.wraps(handler)
    async def told(request: Request) -> Response:
        try:
            return await handler(request)
        except Refused as error:
            return _said(error.reason, str(error), STATUS[error.reason])
        except ClientDisconnect:  # nobody waits for a reply
            return Response(status_code=400)
        except LpoTtsError as error:
            log.error("%s %s: %s", request.method, request.url.path, error)
            advice = "try again; if it stays so, tell whoever runs this test"
            return _said("server", f"the server could not do this, and nothing was stored; {advice}", 503)

    return told


def _allowed(taken: bool) -> None:
    if not taken:
        raise Refused("busy", "this is more than anybody can listen to; wait a moment, then try again")


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request, which is read no further than MAX_BODY."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused("request", "expected a body of the type application/json")  # no form of another site can send one
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_WAIT):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BODY:
                    raise Refused("request", f"expected a request of at most {MAX_BODY} bytes, found more")
    except TimeoutError as error:
        raise Refused("request", f"expected a whole request within {BODY_WAIT:.0f} s, found less") from error
    try:
        found = loads(data.decode("utf-8"), "request")
    except (UnicodeDecodeError, ArtefactError) as error:
        raise Refused("request", f"expected JSON: {ascii(str(error))[1:200]}") from error
    if not isinstance(found, dict):
        raise Refused("request", f"expected a JSON object, found {type(found).__name__}")
    return found


def _text(body: Mapping[str, Any], key: str, *, required: bool = True) -> str | None:
    value = body.get(key)
    if value is None and not required:
        return None
    if not isinstance(value, str) or len(value) > 1000:
        raise Refused("request", f"expected `{key}` as a short text, found {ascii(value)[:60]}")
    return _printable(value)


def _printable(value: str) -> str:
    """Raises Refused for text that no file or table can hold."""
    if any("\ud800" <= char <= "\udfff" or char == "\0" for char in value):
        raise Refused("request", "expected text, found a character that is none")
    return value


def _played(body: Mapping[str, Any]) -> dict[str, float]:
    found = body.get("played", {})
    numbers = isinstance(found, dict) and all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in found.values()
    )
    if not numbers or any(not 0 <= one <= 86400 for one in found.values()):
        raise Refused("request", f"expected `played` as seconds by label, found {ascii(found)[:60]}")
    return {label: float(seconds) for label, seconds in found.items()}


def _labels(body: Mapping[str, Any]) -> list[str]:
    found = body.get("whole", [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Refused("request", f"expected `whole` as a list of labels, found {ascii(found)[:60]}")
    return found


def _json(value: dict[str, Any]) -> Response:
    return JSONResponse(value, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


def _said(reason: str, message: str, status: int) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return JSONResponse({"error": message, "reason": reason}, status_code=status, headers=headers)

"""The server: the listening test and the Gradio page on one port of one machine."""

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from demo.gate import Gate
from demo.listening.loudness import prepare
from demo.listening.server import router
from demo.listening.sittings import Sittings
from demo.login import Login
from demo.rules import Rules, fresh_folder, is_loopback
from demo.run_folder import RunSession
from lpo_tts.errors import ArtefactError

MAX_FILE_SIZE = "20mb"  # as the gate has it
MAX_WAITING = 32  # requests that wait for a model; more are told to come back
MAX_CONNECTIONS = 512
FIRST_PORT, PORTS = 7860, 100
PATIENCE = 2  # seconds that open connections have at the end; a page that is left open would hold the server for ever


def application(
    sittings: Sittings, session: RunSession | None = None, login: Login | None = None, frames: Sequence[str] = ()
) -> FastAPI:
    """Everything that is served: the listening test, and beside it the Gradio page where there is a run.

    Args:
        sittings: the tests.
        session: the run that they are on; None: folders of audio, which have no page but the test.
        login: who may open more than the test; None = everybody.
        frames: origins of pages that may hold these pages in a frame.

    Raises:
        ConfigError: one of `frames` is no origin.
    """
    folder = fresh_folder()
    os.environ["GRADIO_TEMP_DIR"] = folder.name  # before Gradio makes its parts, which remember it
    rules = Rules(Path(folder.name), login, sittings.store.key("invitation")[:32] if login else "", frames)
    app = FastAPI(title="lpo-tts", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.rules, app.state.folder = rules, folder
    app.add_middleware(Gate, rules=rules)
    app.include_router(router(sittings, frames=rules.ancestors))
    threading.Thread(target=prepare, daemon=True).start()  # so that the first trial does not wait for imports
    if session is None:
        app.add_api_route("/", lambda: RedirectResponse("listen/"), include_in_schema=False)
        return app
    import gradio as gr

    from demo.clips import Clips
    from demo.clips import router as clips_router
    from demo.live import Live
    from demo.look import CSS, HEAD, THEME
    from demo.run_files import Pages
    from demo.run_files import router as pages_router
    from demo.tabs import page

    live, clips, pages = Live(session), Clips(), Pages(session)
    app.include_router(clips_router(clips))
    app.include_router(pages_router(pages))
    threading.Thread(target=live.warm, daemon=True).start()  # models and judges are ready when somebody speaks
    return gr.mount_gradio_app(
        app,
        page(session, sittings, live, clips, pages, rules.invitation).queue(max_size=MAX_WAITING),
        path="/",
        max_file_size=MAX_FILE_SIZE,
        theme=THEME,
        css=CSS,
        head=HEAD,
        footer_links=[],
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
    )


class _Server(uvicorn.Server):
    """Ends quietly: a page that is left open is no error, and the traceback of its connection tells nobody anything."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes what is open."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def serve(app: FastAPI, host: str, port: int | None = None, *, share: bool = False, addresses: Sequence[str] = ()) -> None:
    """Serves until interrupted, or told to end (SIGTERM).

    Args:
        app: what `application` made.
        host: address of this machine.
        port: None: the first free one from 7860 on.
        share: make a public link through Gradio's relay.
        addresses: under which others reach the server, where these are others than host and port tell; listeners get the first.

    Raises:
        ArtefactError: the port is taken, the address is not this machine's, or there is no public link to be had.
    """
    rules: Rules = app.state.rules
    if threading.current_thread() is threading.main_thread():
        # uvicorn ends by raising the signal again. SIGTERM alone would leave folders behind, with voices that people recorded.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with closing(bound(host, port)) as sock:
        bound_to: int = sock.getsockname()[1]
        rules.goes_by(host, bound_to)
        own = f"http://{f'[{host}]' if ':' in host else host}:{bound_to}/"
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=PATIENCE,
        )
        with _shared(bound_to) if share else _nothing() as public:
            reached = public or (f"{addresses[0].rstrip('/')}/" if addresses else own)
            for one in (public, *addresses):
                if one:
                    rules.also(one)
            if share or addresses or not is_loopback(host):
                print(open_to_others(rules), file=sys.stderr, flush=True)
            invitation = f"?invitation={rules.invitation}" if rules.invitation else ""
            print(f"demo: {own}\nlistening test: {reached}listen/{invitation}", flush=True)
            _Server(config).run(sockets=[sock])


def open_to_others(rules: Rules) -> str:
    """What somebody who knows the address can do, in one line."""
    if rules.login is None:
        return (
            "open to everybody who reaches this address: the listening test, all answers with listeners' names, the texts and "
            "recordings of the run, and its models; give --login FILE to keep all but the test to yourself"
        )
    return "open to everybody who has the listeners' address: the listening test; all else asks for a login"


def bound(host: str, port: int | None) -> socket.socket:
    """A socket that listens; raises ArtefactError where it cannot."""
    ports = [port] if port is not None else range(FIRST_PORT, FIRST_PORT + PORTS)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    fault: OSError | None = None
    for one in ports:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, one))
            sock.listen(128)
            return sock
        except OSError as error:
            sock.close()
            fault = error
    where = f"{host}:{port}" if port is not None else f"{host}, on any port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1}"
    raise ArtefactError(f"cannot serve on {where}: {fault}; give another --port or --host") from fault


@contextmanager
def _nothing() -> Iterator[str]:
    yield ""


@contextmanager
def _shared(port: int) -> Iterator[str]:
    """A public address for a port of this machine, while its block runs."""
    import httpx
    from gradio import networking
    from gradio.exceptions import ChecksumMismatchError

    try:
        url = networking.setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except (OSError, ValueError, httpx.HTTPError, ChecksumMismatchError) as error:
        raise ArtefactError(f"--share: there is no public link to be had: {error}; serve without it") from error
    print(f"public link, for everybody who knows it: {url}/", file=sys.stderr, flush=True)
    yield f"{url}/"

"""The server: the listening test and the Gradio page on one port of one machine."""

import logging
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from demo.listening.loudness import prepare
from demo.listening.server import router
from demo.listening.sittings import Sittings
from demo.run_folder import RunSession
from lpo_tts.errors import ArtefactError

MAX_FILE_SIZE = "20mb"  # ours: 30 s of stereo at 192 kHz and 24 bits hold 35 MB, all that is usual far less
FIRST_PORT, PORTS = 7860, 100
PATIENCE = 2  # seconds that open connections have at the end; a page that is left open would hold the server for ever


def application(sittings: Sittings, session: RunSession | None = None) -> FastAPI:
    """Everything that is served: the listening test, and beside it the Gradio page where there is a run.

    Args:
        sittings: the tests.
        session: the run that they are on; None: folders of audio, which have no page but the test.
    """
    app = FastAPI(title="lpo-tts", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(router(sittings))
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
        page(session, sittings, live, clips, pages),
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


def serve(app: FastAPI, host: str, port: int | None = None, *, share: bool = False) -> None:
    """Serves until interrupted.

    Args:
        app: what is served.
        host: address of this machine.
        port: None: the first free one from 7860 on.
        share: make a public link through Gradio's relay.

    Raises:
        ArtefactError: the port is taken, the address is not this machine's, or there is no public link to be had.
    """
    with closing(bound(host, port)) as sock:
        address = f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}/"
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=PATIENCE
        )
        with _shared(sock.getsockname()[1]) if share else _nothing() as public:
            print(f"demo: {address}\nlistening test: {public or address}listen/", flush=True)
            _Server(config).run(sockets=[sock])


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

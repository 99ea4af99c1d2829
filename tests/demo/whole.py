"""The whole demo on a port of this machine, in a thread of the tests."""

import socket
import threading
import time
from contextlib import contextmanager

import uvicorn


@contextmanager
def served(run, answers, login=None):
    """The whole demo on a port of this machine; gives address and application."""
    from demo import serving
    from demo.listening.sittings import Sittings
    from demo.listening.store import Store
    from demo.offers import offered_by_run
    from demo.run_folder import open_run

    session = open_run(run)
    with Store(answers) as store, socket.socket() as sock:
        app = serving.application(Sittings(offered_by_run(session), store), session, login)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        app.state.rules.goes_by("127.0.0.1", port)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/", app
        server.should_exit = True
        thread.join(20)

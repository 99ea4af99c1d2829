"""A judge behind a URL for tests: a real HTTP server in a thread, which may have every fault."""

import base64
import contextlib
import io
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import soundfile


def sound(text):
    """Samples and rate of a wav in base64."""
    return soundfile.read(io.BytesIO(base64.b64decode(text)), dtype="float32")


@dataclass
class Reply:
    """What the server does with a request.

    Attributes:
        body: an object, sent as JSON, or bytes, sent as they are.
        status: of the answer.
        headers: beside those of its length.
        how: "whole"; "lost": the connection is closed without a word; "half": in the middle of the body; "silent": nothing
            comes; "drips": a byte now and then, without an end; "noise": what is no HTTP.
    """

    body: object = None
    status: int = 200
    headers: dict = field(default_factory=dict)
    how: str = "whole"


class JudgeServer:
    """Answers by a function from the object that was posted to a `Reply`; counts what it is asked."""

    def __init__(self, answer):
        self.answer, self.asked, self.headers, self.lock = answer, [], [], threading.Lock()
        self.under_way = self.most = 0
        self.ended = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                with contextlib.suppress(OSError):
                    outer._serve(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/judge"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def _serve(self, handler):
        question = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            self.asked.append(question)
            self.headers.append(dict(handler.headers))
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        try:
            reply = self.answer(question)
        finally:
            with self.lock:  # before the reply is sent: the client's next request may come before this line else
                self.under_way -= 1
        handler.close_connection = True
        if reply.how in ("lost", "silent", "noise"):
            if reply.how == "silent":
                self.ended.wait(20)
            if reply.how == "noise":
                handler.wfile.write(b"what?\r\n\r\n")
            handler.connection.close()
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if reply.how == "whole" or reply.how == "half":
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if reply.how == "drips":
            while not self.ended.wait(0.05):
                handler.wfile.write(b" ")
        handler.wfile.write(body[: len(body) // 2] if reply.how == "half" else body)

    def close(self):
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def serving(answer):
    server = JudgeServer(answer)
    try:
        yield server
    finally:
        server.close()


def in_turn(*replies):
    """Each request the next one; the last one for all further ones."""
    left, lock = list(replies), threading.Lock()

    def answer(question):
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer


def after(seconds, reply):
    def answer(question):
        time.sleep(seconds)
        return reply

    return answer

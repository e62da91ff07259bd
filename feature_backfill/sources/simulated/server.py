"""The HTTP server of the simulated exchange: requests in, answers out, and a record of what was asked when."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asked. at: seconds of time.monotonic()."""

    path: str
    query: Mapping[str, str]
    at: float


@dataclass(frozen=True)
class Answer:
    """What it gets.

    status: 0 to close the connection without an answer. delay: seconds before it. cut: the connection breaks after half
    of the body. weight: as the exchange's rate limit counts it.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    weight: float = 0.0


Route = Callable[[Request], Answer | None]
"""Answers a request; None if it is of another route."""

Tampering = Callable[[Request, Answer], Answer]
"""Changes an answer on its way: faults."""

NOT_FOUND = Answer(b'{"code": -1, "msg": "not found"}', 404)


def as_json(value: object, weight: float = 1.0, status: int = 200) -> Answer:
    """A value as a JSON answer."""
    return Answer(json.dumps(value).encode(), status, {"Content-Type": "application/json"}, weight=weight)


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[None]:
    """Let a server answer in a thread of its own until the block ends, and close it."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class SimulatedExchange:
    """A server on loopback.

    log: every request with its answer, in order of arrival. tampering: may be set while the server runs.
    """

    def __init__(self, routes: Sequence[Route], tampering: Tampering | None = None) -> None:
        self.routes, self.tampering = list(routes), tampering
        self.log: list[tuple[Request, Answer]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator["SimulatedExchange"]:
        """Answer requests until the block ends."""
        with running(self._server):
            yield self

    def answer(self, request: Request) -> Answer:
        """The answer of the first route that has one, as tampered with; it is logged."""
        found = next((answer for route in self.routes if (answer := route(request)) is not None), NOT_FOUND)
        answer = found if self.tampering is None else self.tampering(request, found)
        with self._lock:
            self.log.append((request, answer))
        return answer

    def asked(self, part: str) -> list[Request]:
        """The requests so far whose path contains a text."""
        with self._lock:
            return [request for request, _ in self.log if part in request.path]


def _handler(exchange: SimulatedExchange) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            at = time.monotonic()
            parts = urlsplit(self.path)
            answer = exchange.answer(Request(parts.path, dict(parse_qsl(parts.query)), at))
            if answer.delay:
                time.sleep(answer.delay)
            if answer.status == 0:
                self.close_connection = True
                return
            with suppress(BrokenPipeError, ConnectionResetError):  # the client gave up
                self._send(answer)

        def _send(self, answer: Answer) -> None:
            body = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
            self.close_connection = self.close_connection or answer.cut
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the terminal quiet."""

    return Handler

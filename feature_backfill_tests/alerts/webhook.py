"""A webhook on loopback that keeps what it receives."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from feature_backfill.sources.simulated.server import running


class Webhook:
    """received: the messages, oldest first. status: with which requests are answered; only a 200 is received."""

    def __init__(self, port: int = 0) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if webhook.status == 200:
                    webhook.received.append(json.loads(body))
                self.send_response(webhook.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def titles(self) -> list[str]:
        """What was received since the last call, by title."""
        titles = [message["title"] for message in self.received]
        self.received = []
        return titles


@contextmanager
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    with running(hook.server):
        yield hook

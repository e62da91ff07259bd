"""Sending a message to a target, by Apprise. What is said of a failure never holds the target's address."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from feature_backfill.alerts.changes import State
from feature_backfill.alerts.wording import Message
from feature_backfill.config import Alerts, AlertTarget
from feature_backfill.config.alerts import PRINT
from feature_backfill.errors import UserError

INSTALL = "the package apprise is not installed; pip install 'feature-backfill[alerts]'"
HIDDEN = "***"
SHORTEST_SECRET = 4
"""Shorter parts of an address are words such as `to` or a port."""

_LOGGER = "apprise"
_TYPES = {State.BAD: "failure", State.WARNING: "warning", State.GOOD: "success", State.NEWS: "info"}


def refuse_bad_addresses(alerts: Alerts) -> None:
    """Raise UserError that names the targets to which nothing can be sent, and why. Sends nothing."""
    refused = {target.name: _refusal(target) for target in alerts.targets}
    lines = [f"targets.{name}: {reason}" for name, reason in refused.items() if reason is not None]
    if lines:
        raise UserError(f"alerts.yaml: {'; '.join(lines)}")


def _refusal(target: AlertTarget) -> str | None:
    if target.url.get_secret_value() == PRINT:
        return None
    with _quiet():
        try:
            return None if _server(target) is not None else _unknown(target)
        except ImportError:
            return INSTALL


def send(target: AlertTarget, message: Message) -> str | None:
    """Send a message; returns why it did not arrive, None if it did. Raises nothing."""
    if target.url.get_secret_value() == PRINT:
        print(f"{message.title}\n{message.body}", flush=True)
        return None
    with _quiet() as said:
        try:
            server = _server(target)
            if server is None:
                return _unknown(target)
            sent = server.notify(title=message.title, body=message.body, notify_type=_TYPES[message.state])
        except ImportError:
            return INSTALL
        except Exception as error:  # whatever a plugin of Apprise raises must not fail a tick
            return _without_secrets(target, f"{type(error).__name__}: {error}")
    return None if sent else _without_secrets(target, "; ".join(dict.fromkeys(said)) or "it did not take the message")


def _server(target: AlertTarget) -> Any:
    """What Apprise makes of the address; None if it knows none such."""
    import apprise

    return apprise.Apprise.instantiate(target.url.get_secret_value())


def _unknown(target: AlertTarget) -> str:
    scheme = re.match(r"[a-z0-9+]{1,20}://", target.url.get_secret_value(), re.IGNORECASE)
    begins = f" that begins with {scheme[0]}" if scheme else ""
    return f"Apprise takes no such address{begins}; see https://appriseit.com for the form of each service"


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keep Apprise's log lines, which may hold addresses, from every other log; gives the warnings among them."""
    logger, said = logging.getLogger(_LOGGER), _Lines()
    propagates, level = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(said)
    try:
        yield said.lines
    finally:
        logger.removeHandler(said)
        logger.setLevel(level)
        logger.propagate = propagates


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(" ".join(record.getMessage().split()))


def _without_secrets(target: AlertTarget, text: str) -> str:
    """The text without any part of the target's address: user, password, path, values, host."""
    url = target.url.get_secret_value()
    parts = {url, *re.split(r"[/:@?&=#,\s]+", url.partition("://")[2])}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= SHORTEST_SECRET:
            text = text.replace(part, HIDDEN)
    return text

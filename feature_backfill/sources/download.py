"""Files over HTTP: whole, of bounded size, asked for again after what passes."""

import hashlib
import re
from dataclasses import dataclass

import requests

from feature_backfill.errors import UserError
from feature_backfill.sources.retrying import Passing, patiently, seconds_to_wait

TIMEOUT_S = 20.0
LARGEST_BYTES = 32 * 1024 * 1024
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Downloaded:
    """A file. vouched: its checksum is the published one; False if none is published."""

    content: bytes
    vouched: bool


class WrongChecksumError(Exception):
    """A file that twice was not what its checksum says."""


def download(session: requests.Session, address: str) -> Downloaded | None:
    """A file that its published checksum vouches for; None if there is no such file.

    The checksum is SHA-256, at the same address with .CHECKSUM added. If it does not fit, both are asked for once more.

    Raises WrongChecksumError if it still does not fit, RunError if the server cannot be reached, and UserError if it
    refuses.
    """
    for _ in range(2):
        content = _get(session, address)
        if content is None:
            return None
        published = _get(session, f"{address}.CHECKSUM")
        if published is None:
            return Downloaded(content, vouched=False)
        if re.match(rb"[0-9a-fA-F]{64}", published) and published[:64].decode().lower() == _sha256(content):
            return Downloaded(content, vouched=True)
    raise WrongChecksumError(address)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _get(session: requests.Session, address: str) -> bytes | None:
    """What is at an address; None if nothing is."""

    def once() -> bytes | None:
        with session.get(address, timeout=TIMEOUT_S, stream=True) as response:
            if response.status_code == 404:
                return None
            response.raise_for_status()
            content = bytearray()
            for piece in response.iter_content(_PIECE_BYTES):
                content += piece
                if len(content) > LARGEST_BYTES:
                    raise UserError(f"{address} is larger than {LARGEST_BYTES // 1024**2} MiB, so it is no such file")
            return bytes(content)

    return patiently(address, once, lambda error: _judged(address, error))


def _judged(address: str, error: Exception) -> Passing:
    """What a failure is. Raises UserError if it is not worth asking again."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        if status < 500 and status not in (408, 418, 425, 429):
            raise UserError(f"{address} is refused with HTTP {status}; correct `archive`, or set it to none") from error
        return Passing(f"HTTP {status}", seconds_to_wait(error.response.headers.get("Retry-After")))
    if isinstance(error, requests.Timeout):
        return Passing("no answer in time")
    if isinstance(error, requests.RequestException):
        return Passing("connection failed or broken")
    raise error

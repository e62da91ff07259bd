"""Access to an S3-compatible store, with keys and address from the environment, by the names that AWS gave them."""

import os
from urllib.parse import urlsplit

import duckdb

from feature_backfill.errors import UserError
from feature_backfill.store.extensions import load_extensions
from feature_backfill.store.sql import literal

KEY, SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


def allow_object_store(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the instance of a connection the keys of the store. They stay in its memory.

    Without an address in the environment, the store is Amazon's.

    Raises UserError if the keys are not in the environment, or if the address of the store is none.
    """
    lacking = [name for name in (KEY, SECRET) if not os.environ.get(name)]
    if lacking:
        raise UserError(f"a lake in a bucket needs the environment variable {' and '.join(lacking)}; set it")
    load_extensions(connection, ["httpfs"])
    parts = {"KEY_ID": os.environ[KEY], "SECRET": os.environ[SECRET], "REGION": _first(_REGIONS) or "us-east-1"}
    if token := os.environ.get("AWS_SESSION_TOKEN"):
        parts["SESSION_TOKEN"] = token
    given = ", ".join(f"{name} {literal(value)}" for name, value in parts.items())
    if endpoint := next((name for name in _ENDPOINTS if os.environ.get(name)), None):
        given += f", {_reached(endpoint)}"
    connection.execute(f"CREATE OR REPLACE SECRET feature_backfill (TYPE s3, {given})")


def _reached(variable: str) -> str:
    """Where a store other than Amazon's is. It rarely has a name for each bucket."""
    address = urlsplit(os.environ[variable])
    if address.scheme not in ("http", "https") or not address.netloc:
        raise UserError(f"{variable} is no address of a store; write one such as https://host:9000")
    return f"ENDPOINT {literal(address.netloc)}, URL_STYLE 'path', USE_SSL {str(address.scheme == 'https').lower()}"


def _first(names: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)

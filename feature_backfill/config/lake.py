"""Where a lake is: its catalog in PostgreSQL, the folder or bucket of its Parquet files, and the schema in it.

A lake takes the place of a DuckDB file. Its address holds no secret: a password is named by an environment variable,
which is looked up when the lake is opened, and not at all where libpq finds the password by itself.
"""

import re
from typing import Annotated, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic.dataclasses import dataclass

from feature_backfill.config.fields import expanded, resolved

_SCHEMES = ("postgresql", "postgres")
_BUCKET = "s3://"
_CONNECT_TIMEOUT_S = "10"
_EXAMPLE = "postgresql://user:${LAKE_PASSWORD}@host/database"


def _address(text: Any) -> str:
    """The address of a catalog, as it is written. No message may quote it: somebody may have put a password there."""
    if not isinstance(text, str):
        raise ValueError(f"an address of a PostgreSQL database is text, such as {_EXAMPLE}")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(f"not an address of a PostgreSQL database, such as {_EXAMPLE}") from None
    if parts.scheme not in _SCHEMES or not parts.path.strip("/"):
        raise ValueError(f"not an address of a PostgreSQL database, such as {_EXAMPLE}")
    for password in (parts.password, *(value for name, value in parse_qsl(parts.query) if name == "password")):
        if password is not None and re.fullmatch(r"\$\w+|\$\{\w+\}", password) is None:
            raise ValueError(f"a password does not belong into the YAML; name an environment variable: {_EXAMPLE}")
    expanded(text)
    return text


def _place(text: Any, info: ValidationInfo) -> str:
    """The absolute path of a folder, or the address of a bucket as it is."""
    if isinstance(text, str) and text.startswith(_BUCKET):
        if not text.removeprefix(_BUCKET).strip("/"):
            raise ValueError(f"{text} names no bucket; write s3://bucket/prefix")
        return expanded(text)
    if isinstance(text, str) and "://" in text:
        raise ValueError(f"{text} is neither a folder nor a bucket such as s3://bucket/prefix")
    return str(resolved(text, info))


@dataclass(frozen=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))
class Lake:
    """A schema of a DuckLake.

    catalog: address of a PostgreSQL database, as libpq takes it, with environment variables for what is secret. data:
    the folder of the Parquet files, or s3://bucket/prefix. schema: in which the tables are, in lower case; each market
    has one of its own.
    """

    catalog: Annotated[str, BeforeValidator(_address)]
    data: Annotated[str, BeforeValidator(_place)]
    schema: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$"), AfterValidator(str.lower)]

    def __str__(self) -> str:
        """The lake as messages show it: without user and password."""
        return f"{self.place}, schema {self.schema}"

    @property
    def place(self) -> str:
        """The lake that has the schema, as messages show it."""
        return f"lake {self._host}{self._parts.path}"

    @property
    def in_bucket(self) -> bool:
        """Whether the Parquet files are in an S3-compatible store."""
        return self.data.startswith(_BUCKET)

    @property
    def connection(self) -> dict[str, str]:
        """The parameters of the connection to the catalog, by their names in libpq. The password is among them.

        Raises ValueError if an environment variable is not set.
        """
        parts = self._parts
        given = {
            "host": parts.hostname,
            "port": None if parts.port is None else str(parts.port),
            "user": parts.username,
            "password": parts.password,
            "dbname": parts.path.removeprefix("/"),
        }
        named = {name: unquote(value) for name, value in given.items() if value}
        found = {"connect_timeout": _CONNECT_TIMEOUT_S, **named, **dict(parse_qsl(parts.query))}
        return {name: expanded(value) for name, value in found.items()}

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.catalog)

    @property
    def _host(self) -> str:
        """Host and port, or the folder of the server's socket."""
        where = self._parts.netloc.rpartition("@")[2]
        return where or dict(parse_qsl(self._parts.query)).get("host", "")

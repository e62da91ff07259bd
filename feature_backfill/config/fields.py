"""What sections and single values of a market's YAML may be: paths, hours, names, keys, links."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from feature_backfill.config.modules import search_modules_in
from feature_backfill.engine.bars import COLUMNS
from feature_backfill.engine.timeframes import canonical_timeframes
from feature_backfill.errors import UserError
from feature_backfill.hours import EARLIEST, to_utc
from feature_backfill.paths import absolute


class Schema(BaseModel):
    """A section of a YAML: no field but those it knows, and nothing changed once it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def expanded(text: str) -> str:
    """The text with the values of environment variables in the places of $NAME and ${NAME}.

    Raises ValueError that names those that are not set. It quotes no value, which may be a secret.
    """
    unset = [name for name in re.findall(r"\$\{?(\w+)", text) if name not in os.environ]
    if unset:
        raise ValueError(f"environment variable {', '.join(unset)} is not set")
    return os.path.expandvars(text)


def resolved(path: Any, info: ValidationInfo) -> Path:
    """The absolute path. `~` and environment variables are expanded; a relative path starts at the YAML's folder."""
    if not isinstance(path, str | Path):
        raise ValueError(f"{path!r} is not a path")
    try:
        return absolute((info.context or {}).get("folder", Path()) / expanded(os.path.expanduser(str(path))))
    except UserError as error:
        raise ValueError(str(error)) from error


def _one_hour(text: Any) -> pd.Timestamp:
    hour = to_utc([text])[0]
    if hour != hour.floor("h"):
        raise ValueError(f"{text} is not on the hour")
    if hour < EARLIEST:
        raise ValueError(f"{text} is before {EARLIEST:%Y}, earlier than any hourly bars; correct the date")
    return hour


def _printable(key: str) -> str:
    if not key.strip() or key != key.strip() or not key.isprintable():
        raise ValueError(f"{key!r} is blank, begins or ends with a blank, or contains unprintable characters")
    return key


def _not_ohlcv(name: str) -> str:
    if not name.strip() or name.lower() in ("timestamp", *COLUMNS):
        raise ValueError(f"{name!r} is no further column; name one that the table has beside timestamp and OHLCV")
    return name


def _importable(names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """The names of modules. They can be imported from the YAML's folder too from now on."""
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"{name!r} is no name of a module, such as my_desk.features")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} is named twice; name each module once")
    if names and info.context:
        try:
            search_modules_in(info.context["folder"], names)
        except UserError as error:
            raise ValueError(str(error)) from error
    return names


ColumnName = Annotated[str, AfterValidator(_not_ohlcv)]
ConfigPath = Annotated[Path, BeforeValidator(resolved)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", description="letters, digits and underscores")]
Hour = Annotated[pd.Timestamp, BeforeValidator(_one_hour)]
Key = Annotated[str, AfterValidator(_printable)]
Owner = Annotated[
    str,
    Field(
        pattern=r"^(team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$",
        description="team:name, or an address such as Dagster accepts",
    ),
]
HttpLink = Annotated[str, Field(pattern=r"^https?://")]
FeatureModules = Annotated[tuple[str, ...], AfterValidator(_importable)]
Timeframes = Annotated[tuple[str, ...], AfterValidator(canonical_timeframes)]
Missing = Annotated[Literal["auto", "null", "nan"], BeforeValidator(lambda value: "null" if value is None else value)]

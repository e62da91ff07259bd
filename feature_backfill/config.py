"""The YAML that describes a market: where its OHLCV is, where its features go, which feature sets it has."""

import difflib
import hashlib
import json
import os
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from feature_backfill.engine.catalog import feature_names
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.timeframes import DEFAULT_TIMEFRAMES, canonical_timeframes
from feature_backfill.errors import UserError
from feature_backfill.hours import EARLIEST, to_utc
from feature_backfill.paths import absolute

CONFIGS_VARIABLE = "FEATURE_BACKFILL_CONFIGS"
LONGEST_LOOKBACK_HOURS = 24 * 366
OTHER_JOBS = ("checks", "import_files", "repair")
"""Jobs that a market has beside those of its feature sets, which are named by slugs."""


def _resolved(path: Any, info: ValidationInfo) -> Path:
    """A path with environment variables expanded, absolute or relative to the folder of the YAML."""
    if not isinstance(path, str | Path):
        raise ValueError("not a path")
    expanded = os.path.expandvars(os.path.expanduser(str(path)))
    unset = re.findall(r"\$\{?(\w+)", expanded)
    if unset:
        raise ValueError(f"environment variable {', '.join(unset)} is not set")
    try:
        return absolute((info.context or {}).get("folder", Path()) / expanded)
    except UserError as error:
        raise ValueError(str(error)) from error


def _one_hour(text: Any) -> pd.Timestamp:
    hour = to_utc([text])[0]
    if hour != hour.floor("h"):
        raise ValueError(f"{text} is not on the hour")
    if hour < EARLIEST:
        raise ValueError(f"{text} is before {EARLIEST:%Y}, when no hourly bars were")
    return hour


def _printable(key: str) -> str:
    if not key.strip() or not key.isprintable():
        raise ValueError(f"{key!r} is blank or holds characters that cannot be printed")
    return key


ConfigPath = Annotated[Path, BeforeValidator(_resolved)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", description="letters, digits and underscores")]
Key = Annotated[str, AfterValidator(_printable)]
Owner = Annotated[str, Field(pattern=r"^(team:.+|[^@\s]+@[^@\s]+\.[^@\s]+)$", description="an address or team:name")]
HttpLink = Annotated[str, Field(pattern=r"^https?://")]
Timeframes = Annotated[tuple[str, ...], AfterValidator(canonical_timeframes)]
Missing = Annotated[Literal["null", "nan"], BeforeValidator(lambda value: "null" if value is None else value)]


def asset_slug(key: str) -> str:
    """A feature key as part of an asset's name, which takes letters, digits and underscores only."""
    return re.sub(r"[^A-Za-z0-9_]", "_", key)


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class OhlcvSource(_Schema):
    """An hourly OHLCV table: columns timestamp, open, high, low, close, volume.

    folder: where CSV and Parquet files arrive, which are imported into the table as they come or change. Without one
    the table is filled by somebody else, and only read.
    """

    database: ConfigPath
    table: Annotated[str, Field(min_length=1)]
    folder: ConfigPath | None = None


class HourlySchedule(_Schema):
    """When the hour that has just closed is computed by the clock, and how long its row is waited for.

    minute: of each hour; retries: how often a run looks again for a row that is late; wait_seconds: between two looks.
    """

    minute: Annotated[int, Field(ge=0, le=59, strict=True)] = 5
    retries: Annotated[int, Field(ge=0, strict=True)] = 6
    wait_seconds: Annotated[float, Field(ge=0)] = 300


class FeatureSet(_Schema):
    """What is stored under one feature key.

    missing: how values that are no numbers are stored, as JSON null or as the bare tokens NaN, Infinity, -Infinity.
    at_most: hours that a tick of the sensor asks for; a longer absence is caught up tick by tick.
    """

    key: Key
    base_hours: Annotated[int, Field(ge=1, le=LONGEST_LOOKBACK_HOURS, strict=True)] = 720
    buffer_hours: Annotated[int, Field(ge=0, le=LONGEST_LOOKBACK_HOURS, strict=True)] = 0
    timeframes: Timeframes = DEFAULT_TIMEFRAMES
    feature_list: ConfigPath | None = None
    missing: Missing = "null"
    at_most: Annotated[int, Field(ge=1, strict=True)] = 24 * 365

    @property
    def slug(self) -> str:
        """The key as part of an asset's name."""
        return asset_slug(self.key)

    @property
    def bar_timeframes(self) -> tuple[str, ...]:
        """Timeframes above 1H: those whose bars are kept in tables."""
        return tuple(timeframe for timeframe in self.timeframes if timeframe != "1H")

    @property
    def lookback(self) -> Lookback:
        """The hours that a row is computed from."""
        return Lookback(self.base_hours, self.buffer_hours)

    @property
    def settings(self) -> str:
        """A digest of what decides how a row is computed: lookback, timeframes, names."""
        parts = (self.base_hours, self.buffer_hours, self.timeframes, self.names)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def names(self) -> list[str]:
        """The names to store, in order. Raises UserError if the feature list cannot be used."""
        computed = feature_names(self.timeframes)
        return computed if self.feature_list is None else read_feature_list(self.feature_list, computed)


class Market(_Schema):
    """One market: its hourly OHLCV, the one database that everything derived lives in, and its feature sets.

    owners: of its assets, e-mail addresses or `team:name`; links: pages about it, by title.
    """

    name: Name
    first_hour: Annotated[pd.Timestamp, BeforeValidator(_one_hour)]
    source: OhlcvSource
    target_database: ConfigPath
    feature_sets: tuple[FeatureSet, ...]
    schedule: HourlySchedule = HourlySchedule()
    owners: tuple[Owner, ...] = ()
    links: dict[str, HttpLink] = {}

    @model_validator(mode="after")
    def _slugs_differ(self) -> "Market":
        slugs = [feature_set.slug for feature_set in self.feature_sets]
        shared = [feature_set.key for feature_set in self.feature_sets if slugs.count(feature_set.slug) > 1]
        if shared:
            raise ValueError(
                f"feature_sets: the keys {', '.join(map(repr, shared))} give one asset name; rename all but one"
            )
        taken = [slug for slug in slugs if slug in OTHER_JOBS or slug in (f"{other}__plan" for other in slugs)]
        if taken:
            raise ValueError(f"feature_sets: {', '.join(taken)} is the name of another job of the market; rename it")
        return self

    @property
    def bar_timeframes(self) -> tuple[str, ...]:
        """Timeframes above 1H that some feature set uses."""
        return tuple(dict.fromkeys(used for feature_set in self.feature_sets for used in feature_set.bar_timeframes))

    @property
    def lookback(self) -> Lookback:
        """The longest lookback of the feature sets."""
        lookbacks = (feature_set.lookback for feature_set in self.feature_sets)
        return max(lookbacks, key=lambda lookback: lookback.hours, default=Lookback(base_hours=1))

    def feature_set(self, key: str) -> FeatureSet:
        """The feature set with a key; UserError, naming those there are, if there is none."""
        for feature_set in self.feature_sets:
            if feature_set.key == key:
                return feature_set
        raise UserError(
            f"market {self.name} has no feature set {key!r}; it has {', '.join(s.key for s in self.feature_sets)}"
        )


def read_feature_list(path: Path, computed: Sequence[str]) -> list[str]:
    """The names in a JSON feature list, each of which must be among those computed.

    Raises UserError if the file is missing, no JSON list of names, empty, or has unknown or repeated names.
    """
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"feature list {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"feature list {path} is not JSON: {error}") from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"feature list {path} is not a JSON array of at least one feature name")
    unknown = [_with_closest(name, computed) for name in dict.fromkeys(names) if name not in set(computed)]
    if unknown:
        raise UserError(
            f"feature list {path}: {len(unknown)} unknown: {'; '.join(unknown[:5])}{' ...' if unknown[5:] else ''}"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"feature list {path} names more than once: {', '.join(repeated)}")
    return names


def _with_closest(name: str, names: Sequence[str]) -> str:
    spellings = {known.lower(): known for known in names}
    closest = difflib.get_close_matches(name.lower(), spellings, n=1)
    return f"{name!r}" + (f" (closest: {spellings[closest[0]]})" if closest else "")


def configs_folder() -> Path:
    """The folder of the market YAMLs: $FEATURE_BACKFILL_CONFIGS, else configs in the working folder."""
    return Path(os.environ.get(CONFIGS_VARIABLE) or "configs").resolve()


class _Loader(yaml.SafeLoader):
    """YAML's plain types only, and no field twice, of which the last would win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"field {name} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def load_market(path: Path) -> Market:
    """The market that a YAML describes. Raises UserError, as market_from does."""
    try:
        fields = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path}: expected the fields {', '.join(Market.model_fields)}")
    return market_from(fields, path.parent, str(path))


def market_from(fields: dict[str, Any], folder: Path, origin: str) -> Market:
    """The market that fields describe, with paths relative to folder.

    Raises UserError that names the origin, the field and what is allowed if they are wrong.
    """
    try:
        market = Market.model_validate(fields, context={"folder": folder})
    except ValidationError as error:
        raise UserError(f"{origin}: {'; '.join(map(_told, error.errors()))}") from error
    for feature_set in market.feature_sets:
        try:
            _ = feature_set.names
        except UserError as error:
            raise UserError(f"{origin}: {error}") from error
    return market


def _told(error: Any) -> str:
    """One validation error as `field: what is wrong`, with the allowed fields where a field is unknown."""
    place = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ").replace("tuple", "list")
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown field; allowed are {', '.join(_fields_at(error['loc']))}"
    got = f", got {reprlib.repr(error['input'])}" if error["type"] not in ("missing", "value_error") else ""
    return f"{place}: {message}{got}" if place else message


def _fields_at(location: tuple[str | int, ...]) -> list[str]:
    nested: dict[str, type[BaseModel]] = {
        "source": OhlcvSource,
        "feature_sets": FeatureSet,
        "schedule": HourlySchedule,
    }
    model = nested.get(str(location[0]), Market) if len(location) > 1 else Market
    return list(model.model_fields)


def load_markets(folder: Path | None = None) -> list[Market]:
    """Every market of a folder's YAMLs (dagster.yaml aside), by name. Raises UserError, also where two share a name."""
    folder = configs_folder() if folder is None else folder
    files = sorted(path for path in [*folder.glob("*.yaml"), *folder.glob("*.yml")] if path.stem != "dagster")
    markets = {path: load_market(path) for path in files}
    names = [market.name for market in markets.values()]
    shared = [str(path) for path, market in markets.items() if names.count(market.name) > 1]
    if shared:
        raise UserError(f"these files name one and the same market: {', '.join(shared)}")
    return sorted(markets.values(), key=lambda market: market.name)

"""What a market's YAML may say: where its OHLCV is, where its features go, and which feature sets it has."""

import hashlib
import json
import re
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field, StrictBool, StringConstraints, ValidationInfo, model_validator

from feature_backfill.config.feature_list import read_feature_list
from feature_backfill.config.fields import (
    ConfigPath,
    FeatureModules,
    Hour,
    HttpLink,
    Key,
    Missing,
    Name,
    Owner,
    Schema,
    Timeframes,
)
from feature_backfill.config.lake import Lake
from feature_backfill.config.modules import catalog_of, feature_module
from feature_backfill.config.sources import Source
from feature_backfill.config.target import Target, with_one_target
from feature_backfill.contracts import KeyContract, ModuleIdentity, OhlcvIdentity
from feature_backfill.engine.catalog import Catalog
from feature_backfill.engine.columns import Column
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.timeframes import DEFAULT_TIMEFRAMES
from feature_backfill.errors import UserError
from feature_backfill.hours import hour_range

LONGEST_LOOKBACK_HOURS = 24 * 366
OTHER_JOBS = ("checks", "fetch", "import_files", "report")
"""Names of the jobs that a market has in addition to those of its feature sets. No slug may equal one of them."""


def asset_slug(key: str) -> str:
    """A feature key as part of an asset name. Asset names take only letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9_]", "_", key)


def checks_name(name: str) -> str:
    """The last part of the name of the asset that carries the checks of an asset: `ohlcv_checks` for `ohlcv`."""
    return f"{name}_checks"


class HourlySchedule(Schema):
    """When a run by the clock computes the hour that has just closed, and how long it waits for that hour's OHLCV row.

    minute: past each hour; retries: how often the run looks again for a late row; wait_seconds: between two attempts.
    """

    minute: Annotated[int, Field(ge=0, le=59, strict=True)] = 5
    retries: Annotated[int, Field(ge=0, strict=True)] = 6
    wait_seconds: Annotated[float, Field(ge=0)] = 300


class KnownGap(Schema):
    """Hours from first to last, both included, that OHLCV is known to lack, and why."""

    first: Hour
    last: Hour
    note: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

    @model_validator(mode="after")
    def _is_ordered(self) -> "KnownGap":
        if self.first > self.last:
            raise ValueError(f"the first hour {self.first} is after the last, {self.last}; swap them")
        return self

    @property
    def hours(self) -> pd.DatetimeIndex:
        """Every hour of the gap."""
        return hour_range(self.first, self.last)


class FeatureSet(Schema):
    """What is stored under one feature key.

    base_hours, buffer_hours: the lookback, see `lookback`; buffer hours only complete the oldest bar.
    feature_modules: modules with features of a user's own, by name; their features follow the built-in ones.
    missing: how NaN and infinite values are stored: "null" as JSON null, "nan" as the bare tokens NaN, Infinity and
        -Infinity. "auto" continues as the stored rows of the key have it, and starts a new key with null.
    at_most: the largest number of hours that one tick of the sensor requests; later ticks request the rest.
    automatic: whether the sensor `new_hours` requests its hours.
    """

    key: Key
    base_hours: Annotated[int, Field(ge=1, le=LONGEST_LOOKBACK_HOURS, strict=True)] = 720
    buffer_hours: Annotated[int, Field(ge=0, le=LONGEST_LOOKBACK_HOURS, strict=True)] = 0
    timeframes: Timeframes = DEFAULT_TIMEFRAMES
    feature_list: ConfigPath | None = None
    feature_modules: FeatureModules = ()
    missing: Missing = "auto"
    at_most: Annotated[int, Field(ge=1, strict=True)] = 24 * 365
    automatic: StrictBool = True

    @property
    def slug(self) -> str:
        """The key as part of an asset name."""
        return asset_slug(self.key)

    @property
    def bar_timeframes(self) -> tuple[str, ...]:
        """The timeframes above 1H, whose bars are kept in tables."""
        return tuple(timeframe for timeframe in self.timeframes if timeframe != "1H")

    @property
    def lookback(self) -> Lookback:
        """The hours that a row is computed from."""
        return Lookback(self.base_hours, self.buffer_hours)

    @property
    def settings(self) -> str:
        """A digest of the settings that decide a row's content: lookback, timeframes, names, versions of modules."""
        parts: tuple[Any, ...] = (self.base_hours, self.buffer_hours, self.timeframes, self.names)
        if self.feature_modules:
            parts = (*parts, [(name, feature_module(name).version) for name in self.feature_modules])
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @cached_property
    def names(self) -> list[str]:
        """The feature names to store, in order, as the feature list had them when it was first asked for.

        Raises UserError if the feature list or a module cannot be used.
        """
        computed = self.catalog.names(self.timeframes)
        return computed if self.feature_list is None else read_feature_list(self.feature_list, computed)

    @property
    def catalog(self) -> Catalog:
        """The features that are computed: the built-in ones, then those of the modules.

        Raises UserError if a module cannot be used.
        """
        return catalog_of(self.feature_modules)

    def contract(self, market: "Market") -> KeyContract:
        """What a row of this feature set is, computed from the OHLCV of a market."""
        modules = (feature_module(name) for name in self.feature_modules)
        return KeyContract(
            tuple(self.names),
            self.timeframes,
            self.base_hours,
            self.buffer_hours,
            None if self.missing == "auto" else self.missing,
            market.ohlcv_identity,
            tuple(ModuleIdentity(module.name, module.version, module.source) for module in modules),
            tuple(map(str, market.columns_of(self))),
        )


class Market(Schema):
    """One market: its hourly OHLCV, its feature sets, and the target that holds everything derived from the OHLCV.

    target: a lake, or a DuckDB file, which the YAML calls target_database. The schema of a lake is by default named
    after the market.
    known_gaps: hours that OHLCV lacks for a reason, so that the check of its continuity reports only others.
    automatic: whether the sensors look at the market. If not, only schedules and people start its runs.
    owners: of the market's assets, as e-mail addresses or `team:name`; links: web pages about the market, by title.
    """

    name: Name
    first_hour: Hour
    source: Source
    target: Target
    feature_sets: tuple[FeatureSet, ...]
    schedule: HourlySchedule = HourlySchedule()
    known_gaps: tuple[KnownGap, ...] = ()
    automatic: StrictBool = True
    owners: tuple[Owner, ...] = ()
    links: dict[str, HttpLink] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _one_target(cls, fields: Any, info: ValidationInfo) -> Any:
        return with_one_target(fields, info) if isinstance(fields, dict) else fields

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Market":
        slugs = [feature_set.slug for feature_set in self.feature_sets]
        shared = [feature_set.key for feature_set in self.feature_sets if slugs.count(feature_set.slug) > 1]
        if shared:
            raise ValueError(
                f"feature_sets: the keys {', '.join(map(repr, shared))} map to the same asset name; rename all but one"
            )
        taken = [slug for slug in slugs if slug in OTHER_JOBS]
        if taken:
            raise ValueError(f"feature_sets: this market has another job named {', '.join(taken)}; rename the key")
        checking = [slug for slug in slugs if slug in map(checks_name, slugs)]
        if checking:
            raise ValueError(
                f"feature_sets: {', '.join(checking)} would be named like the asset with the checks of another key; "
                "rename the key"
            )
        return self

    @model_validator(mode="after")
    def _known_gaps_are_apart(self) -> "Market":
        gaps = sorted(self.known_gaps, key=lambda gap: gap.first)
        for gap, following in pairwise(gaps):
            if following.first <= gap.last:
                raise ValueError(f"known_gaps: two of them hold the hour {following.first}; an hour belongs to one")
        return self

    @property
    def target_database(self) -> Path:
        """The DuckDB file of a market that has one. Raises UserError if its target is a lake."""
        if isinstance(self.target, Lake):
            raise UserError(f"market {self.name} has no DuckDB file but {self.target}; use its target instead")
        return self.target

    @property
    def ohlcv_identity(self) -> OhlcvIdentity:
        """Which OHLCV everything in the target is derived from."""
        return OhlcvIdentity(self.name, str(self.source.database), self.source.table)

    def columns_of(self, feature_set: FeatureSet) -> tuple[Column, ...]:
        """The further hourly columns that a feature set reads.

        Raises UserError if the source names none such.
        """
        known = {column.name: column for column in self.source.further_columns}
        unknown = [name for name in feature_set.catalog.columns if name not in known]
        if unknown:
            raise UserError(
                f"the feature modules of {feature_set.key} read the column {', '.join(unknown)} of the OHLCV table; "
                f"say what it is in the source section, such as columns: {{{unknown[0]}: {{bar: sum, if_bad: skip}}}} "
                f"(--column {unknown[0]} sum skip on the command line)"
            )
        return tuple(known[name] for name in feature_set.catalog.columns)

    @property
    def job_names(self) -> frozenset[str]:
        """The names of the market's jobs in Dagster."""
        slugs = (feature_set.slug for feature_set in self.feature_sets)
        return frozenset(f"{self.name}__{job}" for job in (*OTHER_JOBS, *slugs))

    @property
    def automatic_sets(self) -> tuple[FeatureSet, ...]:
        """The feature sets that the sensor `new_hours` keeps current."""
        return tuple(each for each in self.feature_sets if self.automatic and each.automatic)

    @property
    def bar_timeframes(self) -> tuple[str, ...]:
        """The timeframes above 1H that at least one feature set uses."""
        return tuple(dict.fromkeys(used for feature_set in self.feature_sets for used in feature_set.bar_timeframes))

    @property
    def lookback(self) -> Lookback:
        """The longest lookback of the feature sets."""
        lookbacks = (feature_set.lookback for feature_set in self.feature_sets)
        return max(lookbacks, key=lambda lookback: lookback.hours, default=Lookback(base_hours=1))

    def feature_set(self, key: str) -> FeatureSet:
        """The feature set with a key. Raises UserError, listing the keys that exist, if there is none."""
        for feature_set in self.feature_sets:
            if feature_set.key == key:
                return feature_set
        raise UserError(
            f"market {self.name} has no feature set {key!r}; it has {', '.join(s.key for s in self.feature_sets)}"
        )

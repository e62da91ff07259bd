"""Where a market's hourly OHLCV comes from, as its YAML says it."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from feature_backfill.config.fields import ColumnName, ConfigPath, HttpLink, Schema
from feature_backfill.engine.columns import BarRule, Column, IfBad


class ColumnRules(Schema):
    """What is made of a further hourly column.

    bar: how the hours of a bar become its value; if_bad: whether an hour without a finite value has the hours that look
    back on it skipped, or the features that read its bar null.
    """

    bar: BarRule
    if_bad: IfBad


class OhlcvSource(Schema):
    """An hourly OHLCV table with the columns timestamp, open, high, low, close and volume.

    folder: CSV, Parquet, .zip and .csv.gz files in it are imported into the table whenever they appear or change.
    Without a folder, somebody else fills the table and the project only reads it.
    columns: further hourly columns of the table, by name, that features of a user's own read.
    """

    database: ConfigPath
    table: Annotated[str, Field(min_length=1)]
    folder: ConfigPath | None = None
    columns: dict[ColumnName, ColumnRules] = Field(default_factory=dict)

    @property
    def further_columns(self) -> tuple[Column, ...]:
        """The further hourly columns, in the order of the YAML."""
        return tuple(Column(name, rules.bar, rules.if_bad) for name, rules in self.columns.items())

    @property
    def origin(self) -> str:
        """Who fills the table, in words."""
        return "filled by somebody else" if self.folder is None else f"imported from the files of {self.folder}"


class ExchangeSource(OhlcvSource):
    """A table that is filled from an exchange: history from its archive of files, the rest from its API.

    exchange, symbol: as ccxt spells them, such as binanceusdm and BTC/USDT:USDT.
    refetch_hours: how many of the last hours each fetch asks for again, to find those that the exchange restated.
    restated: what becomes of feature rows that rest on restated hours: they are shown as stale, or recomputed.
    archive: where the exchange's files are: "auto" for those that are known, "none", or a base address.
    api: a base address that takes the place of the exchange's own.
    """

    exchange: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    symbol: Annotated[str, Field(min_length=1)]
    refetch_hours: Annotated[int, Field(ge=0, le=24 * 31, strict=True)] = 48
    restated: Literal["show", "recompute"] = "show"
    archive: Annotated[str, Field(pattern=r"^(auto|none|https?://.+)$")] = "auto"
    api: HttpLink | None = None

    @model_validator(mode="after")
    def _only_the_exchange_fills_the_table(self) -> "ExchangeSource":
        if self.folder is not None:
            raise ValueError("a market has either an exchange or a folder; remove one of the two")
        return self

    @property
    def origin(self) -> str:
        """Who fills the table, in words."""
        return f"fetched from {self.exchange}, {self.symbol}"


SOURCES: dict[str, type[OhlcvSource]] = {"table": OhlcvSource, "exchange": ExchangeSource}
"""The kinds of sources, by the tag that a wrong field's place has behind `source`."""


def _kind_of_source(source: Any) -> str:
    names_an_exchange = "exchange" in source if isinstance(source, dict) else isinstance(source, ExchangeSource)
    return "exchange" if names_an_exchange else "table"


Source = Annotated[
    Annotated[OhlcvSource, Tag("table")] | Annotated[ExchangeSource, Tag("exchange")], Discriminator(_kind_of_source)
]

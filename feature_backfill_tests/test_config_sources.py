"""The source of a market in its YAML: a table, a folder, an exchange."""

import json

import pytest

from feature_backfill.config import ExchangeSource, OhlcvSource, market_from, read_markets
from feature_backfill.errors import UserError

TABLE = {"database": "ohlcv.duckdb", "table": "t"}
EXCHANGE = {**TABLE, "exchange": "binanceusdm", "symbol": "BTC/USDT:USDT"}


def market_of(tmp_path, source):
    fields = {"name": "btc", "first_hour": "2025-01-01", "target_database": "f.duckdb", "feature_sets": []}
    return market_from({**fields, "source": source}, tmp_path, "btc.yaml")


def test_the_three_kinds(tmp_path):
    table = market_of(tmp_path, TABLE).source
    folder = market_of(tmp_path, {**TABLE, "folder": "files"}).source
    exchange = market_of(tmp_path, EXCHANGE).source
    assert (type(table), type(folder), type(exchange)) == (OhlcvSource, OhlcvSource, ExchangeSource)
    assert table.origin == "filled by somebody else"
    assert folder.origin == f"imported from the files of {tmp_path / 'files'}"
    assert exchange.origin == "fetched from binanceusdm, BTC/USDT:USDT"
    assert (exchange.refetch_hours, exchange.restated, exchange.archive, exchange.api) == (48, "show", "auto", None)


def test_what_is_written_is_read_again(tmp_path):
    market = market_of(tmp_path, {**EXCHANGE, "archive": "none", "refetch_hours": 6})
    fields = market.model_dump(mode="json", exclude_defaults=True)
    assert market_from(fields, tmp_path, "again") == market


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({**TABLE, "exchange": "binance"}, "btc.yaml: source.symbol: Field required"),
        ({**TABLE, "symbol": "BTC/USDT"}, "source.symbol: unknown field; allowed are database, table, folder"),
        ({**EXCHANGE, "folder": "files"}, "source: a market has either an exchange or a folder; remove one of the two"),
        (
            {**EXCHANGE, "limit": 5},
            "source.limit: unknown field; allowed are database, table, folder, columns, exchange, symbol",
        ),
        ({**EXCHANGE, "archive": "ftp://files"}, "source.archive: String should match pattern"),
        ({**EXCHANGE, "api": "localhost"}, "source.api: String should match pattern"),
        ({**EXCHANGE, "refetch_hours": -1}, "source.refetch_hours: Input should be greater than or equal to 0, got -1"),
        ({**EXCHANGE, "restated": "hide"}, "source.restated: Input should be 'show' or 'recompute', got 'hide'"),
        ("binance", "source: Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, source, message):
    with pytest.raises(UserError) as caught:
        market_of(tmp_path, source)
    assert message in str(caught.value)


def test_two_symbols_do_not_fill_one_table(tmp_path):
    text = "name: {name}\nfirst_hour: 2025-01-01\nfeature_sets: []\ntarget_database: {name}.duckdb\nsource: {source}\n"
    for name, symbol in (("btc", "BTC/USDT:USDT"), ("eth", "ETH/USDT:USDT")):
        source = json.dumps({**EXCHANGE, "symbol": symbol})
        (tmp_path / f"{name}.yaml").write_text(text.format(name=name, source=source))
    (tmp_path / "reader.yaml").write_text(text.format(name="reader", source=json.dumps(TABLE)))
    markets = read_markets(tmp_path)
    assert [market.name for market in markets.valid] == ["reader"]
    assert "these files use the same OHLCV table, which their exchanges fill: " in markets.errors[0]

"""The YAML of a market: what it may say, and the message where it is wrong."""

import json

import pandas as pd
import pytest

from feature_backfill import feature_names
from feature_backfill.config import load_market, read_markets, remember, remembered
from feature_backfill.errors import UserError

GOOD = """
name: btc
first_hour: 2024-01-01T02:00+02:00
source:
  database: $DATA/ohlcv.duckdb
  table: ohlcv
target_database: sub/features.duckdb
feature_sets:
  - key: all
  - key: some-hours
    base_hours: 168
    timeframes: [1h, 24H]
    feature_list: lists/names.json
    missing: nan
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "names.json").write_text(json.dumps(["log_close_1D", "log_close_1H"]))

    def writer(text, name="btc.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return writer


def test_paths_are_relative_to_the_file_and_variables_expanded(write, tmp_path):
    market = load_market(write(GOOD))
    assert market.source.database == tmp_path / "data" / "ohlcv.duckdb"
    assert market.target_database == tmp_path / "sub" / "features.duckdb"
    assert market.first_hour == pd.Timestamp("2024-01-01")


def test_feature_sets_have_the_defaults_of_the_script(write):
    everything, some = load_market(write(GOOD)).feature_sets
    assert (everything.base_hours, everything.buffer_hours, everything.missing) == (720, 0, "auto")
    assert everything.timeframes == ("1H", "4H", "12H", "1D")
    assert everything.names == feature_names()
    assert (some.timeframes, some.names, some.missing) == (("1H", "1D"), ["log_close_1D", "log_close_1H"], "nan")


WRONG = {
    "name: btc": ("name: b t c", "name: String should match pattern"),
    "first_hour: 2024-01-01T02:00+02:00": ("first_hour: soon", "first_hour: not a timestamp: 'soon'"),
    "T02:00+02:00": ("T02:30", "is not on the hour"),
    "2024-01-01T02:00+02:00": ("2024-13-01", "is not YAML: month must be in 1..12"),
    "target_database:": ("owners: [a@b.c]\ntarget_database:", "owners.0: String should match pattern"),
    "  table: ohlcv\n": ("  tabel: ohlcv\n", "source.tabel: unknown field; allowed are database, table"),
    "$DATA": ("$NOWHERE", "source.database: environment variable NOWHERE is not set"),
    "base_hours: 168": ("base_hours: 0", "base_hours: Input should be greater than or equal to 1, got 0"),
    "[1h, 24H]": ("[1H, 5H]", "timeframe '5H' does not divide a day; allowed are 1H, 2H, 3H"),
    "missing: nan": ("missing: none", "missing: Input should be 'auto', 'null' or 'nan', got 'none'"),
    "some-hours\n    base_hours: 168": ("a.b\n  - key: a_b", "the keys 'a.b', 'a_b' map to the same asset name"),
    "key: some-hours": ("key: report", "feature_sets: this market has another job named report; rename the key"),
    "key: all\n": ("key: some_hours_checks\n", "some_hours_checks would be named like the asset with the checks of"),
    "lists/names.json": ("lists/nowhere.json", "nowhere.json: No such file or directory"),
    "target_database: sub/features.duckdb\n": ("", "target_database: Field required"),
    "feature_sets:": ("feature_sets: [", "is not YAML"),
}


@pytest.mark.parametrize("part", WRONG)
def test_the_message_names_the_file_the_field_and_what_is_allowed(write, part):
    replacement, message = WRONG[part]
    path = write(GOOD.replace(part, replacement))
    with pytest.raises(UserError) as caught:
        load_market(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n", "just text"])
def test_a_file_that_is_not_a_mapping_is_refused(write, text):
    with pytest.raises(UserError, match="expected a mapping with the fields name, first_hour"):
        load_market(write(text))


def test_a_folder_holds_a_market_a_file_and_dagsters_own_settings(write, tmp_path):
    write(GOOD)
    other = GOOD.replace("name: btc", "name: another").replace("features.duckdb", "other.duckdb")
    write(other, "another.yaml")
    write("telemetry: {enabled: false}", "dagster.yaml")
    write("an editor's", ".#btc.yaml")
    assert [market.name for market in read_markets(tmp_path).valid] == ["another", "btc"]


OTHER = {"name: btc": "name: eth", "sub/features.duckdb": "sub/eth.duckdb"}
"""What makes of GOOD a market that shares nothing with it but its OHLCV."""

SHARED = {
    "the same market name": {"sub/features.duckdb": "sub/eth.duckdb"},
    "the same target database": {"name: btc": "name: eth"},
    "the same job name": {**OTHER, "name: btc": "name: btc__a", "key: all": "key: b"},
}


def replaced(text, parts):
    for part, replacement in parts.items():
        assert part in text
        text = text.replace(part, replacement)
    return text


@pytest.mark.parametrize("what", SHARED)
def test_files_that_share_what_they_must_not_are_all_broken_and_the_others_are_not(write, tmp_path, what):
    first = write(GOOD.replace("key: all", "key: a__b"))
    second = write(replaced(GOOD, SHARED[what]), "second.yaml")
    write(replaced(GOOD, {"name: btc": "name: third", "sub/features.duckdb": "sub/third.duckdb"}), "third.yaml")
    markets = read_markets(tmp_path)
    assert [market.name for market in markets.valid] == ["third"]
    assert [broken.file for broken in markets.broken] == [first, second]
    (message,) = markets.errors
    assert message.startswith(f"these files use {what}: {first}, {second}; ")


def test_a_broken_file_tells_its_name_where_it_can(write, tmp_path):
    write(GOOD)
    write(replaced(GOOD, {**OTHER, "feature_sets:": "feature_sets: ["}), "eth.yaml")
    (tmp_path / "noise.yaml").write_bytes(b"\xff\xfe")
    markets = read_markets(tmp_path)
    assert [market.name for market in markets.valid] == ["btc"]
    assert [(broken.file.name, broken.name) for broken in markets.broken] == [("eth.yaml", "eth"), ("noise.yaml", None)]
    eth, noise = markets.broken
    assert "eth.yaml is not YAML" in eth.error
    assert eth.may_mean("some-hours")
    assert not eth.may_mean("hours")
    assert noise.may_mean("hours")


def test_what_is_remembered_of_a_file_needs_neither_its_feature_list_nor_its_variables(write, tmp_path, monkeypatch):
    path = write(GOOD)
    market = load_market(path)
    assert remembered(tmp_path / "memory", path) is None
    remember(tmp_path / "memory", path, market)
    (tmp_path / "lists" / "names.json").unlink()
    monkeypatch.delenv("DATA")
    assert remembered(tmp_path / "memory", path) == market
    (kept,) = (tmp_path / "memory").iterdir()
    kept.write_text("{")
    assert remembered(tmp_path / "memory", path) is None


def test_nothing_is_remembered_in_a_folder_that_takes_no_file(write, tmp_path):
    path = write(GOOD)
    remember(path / "memory", path, load_market(path))
    assert remembered(path / "memory", path) is None

"""One key, one meaning: what would mix rows is refused with exit code 2, and not a byte of the rows changes."""

import json
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from feature_backfill import feature_names
from feature_backfill.cli import main
from feature_backfill.contracts import KeyContract, OhlcvIdentity
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.markets import FIRST, HOURS, LAST, TABLE, small_market, stored
from feature_backfill_tests.runs import failures, run_range
from feature_backfill_tests.script_rows import store_as_the_script

WHERE = ("--duckdb", "ohlcv.duckdb", "--feat-duckdb", "features.duckdb", "--table", TABLE)
SHORT = ("--base-hours", "48", "--timeframes", "1H", "4H")
HOURS_ASKED = ("--start", str(LAST - 2 * HOUR), "--end", str(LAST))
EARLIER = hour_range(LAST - 12 * HOUR, LAST - 3 * HOUR)
NAMES = feature_names(["1H", "4H"])


@pytest.fixture
def market(tmp_path, monkeypatch, dagster_home):
    monkeypatch.chdir(tmp_path)
    return small_market(tmp_path)


def run(*flags, where=WHERE, lookback=SHORT, hours=HOURS_ASKED):
    return main(["run", *where, "--feature-key", "short", *lookback, *hours, *flags])


def rows(market):
    """Everything in the features table, as text."""
    with duckdb.connect(market.target_database, read_only=True) as connection:
        return connection.execute(
            "SELECT feature_key, ts, CAST(features AS VARCHAR), created_at FROM features"
        ).fetchall()


def ohlcv_of(market):
    with duckdb.connect(market.source.database, read_only=True) as connection:
        return connection.table(TABLE).df()


def feature_list(names, file="list.json"):
    Path(file).write_text(json.dumps(names))
    return "--feature-list", file


@pytest.fixture(params=["ours", "the script's"])
def started(request, market):
    """A key with rows: ours, with a contract, or the script's, without one."""
    if request.param == "ours":
        assert run(hours=("--start", str(EARLIER[0]), "--end", str(EARLIER[-1]))) == 0
    else:
        store_as_the_script(market.target_database, market.feature_sets[0], ohlcv_of(market), EARLIER)
    return market


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (lambda: feature_list(NAMES[:-3]), "features: 220 features there, 217 here (only there: "),
        (lambda: feature_list([NAMES[1], NAMES[0], *NAMES[2:]]), "220 features there, 220 here, in another order"),
        (lambda: ("--timeframes", "1H", "12H"), "features: 220 features there, 220 here (only here: "),
        (lambda: ("--timeframes", "1H"), "features: 220 features there, 110 here (only there: "),
    ],
    ids=["fewer names", "other order", "other timeframes", "fewer timeframes"],
)
def test_other_names_are_refused(started, capsys, flags, message):
    before = rows(started)
    assert run(*flags()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Use another feature key, or start this one anew with feature-backfill retire-key" in error
    assert rows(started) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--base-hours", "72"), "base hours: 48 there, 72 here"),
        (("--buffer-hours", "3"), "buffer hours: 0 there, 3 here"),
        (("--missing", "nan"), "missing values: null there, nan here"),
    ],
)
def test_settings_that_the_rows_do_not_show_are_remembered(market, capsys, flags, message):
    assert run(hours=("--start", str(EARLIER[0]), "--end", str(EARLIER[-1]))) == 0
    before = rows(market)
    assert run(*flags) == 2
    assert message in capsys.readouterr().err
    assert rows(market) == before


def second_market(market, table="other_1h"):
    """Another market's OHLCV, in a file of its own."""
    database = market.source.database.with_name("other.duckdb")
    with duckdb.connect(database) as connection:
        connection.register("rows", synthetic_ohlcv(FIRST, HOURS, seed=99))
        connection.execute(f"CREATE TABLE {table} AS FROM rows")
    return ("--duckdb", "other.duckdb", "--feat-duckdb", "features.duckdb", "--table", table)


@pytest.mark.parametrize("table", [TABLE, "other_1h"], ids=["a table of the same name", "another table"])
@pytest.mark.parametrize("key", ["short", "other"])
@pytest.mark.parametrize("hours", [HOURS_ASKED, ("--dry-run", *HOURS_ASKED)])
def test_another_market_from_flags_is_refused_also_under_another_key(market, capsys, key, hours, table):
    assert run(hours=("--start", str(EARLIER[0]), "--end", str(EARLIER[-1]))) == 0
    before = rows(market)
    assert main(["run", *second_market(market, table), "--feature-key", key, *SHORT, *hours]) == 2
    assert "holds the bars of market" in capsys.readouterr().err
    assert rows(market) == before


def test_two_markets_of_configs_cannot_share_a_target_database(market, capsys):
    second_market(market)
    Path("configs").mkdir()
    for name, database, table in (("small", "ohlcv", TABLE), ("other", "other", "other_1h")):
        Path("configs", f"{name}.yaml").write_text(
            f"name: {name}\nfirst_hour: 2025-01-01\nsource: {{database: ../{database}.duckdb, table: {table}}}\n"
            "target_database: ../features.duckdb\nfeature_sets: [{key: short, base_hours: 48, timeframes: [1H, 4H]}]\n"
        )
    assert main(["run", "--market", "small", "--feature-key", "short", *HOURS_ASKED]) == 2
    error = capsys.readouterr().err
    assert "use the same target database" in error
    assert str(Path("configs", "small.yaml").resolve()) in error
    assert str(Path("configs", "other.yaml").resolve()) in error
    assert not market.target_database.exists()


def test_a_market_that_got_a_yaml_or_moved_its_file_is_the_same(market, tmp_path, capsys):
    assert run() == 0
    market.source.database.rename(tmp_path / "moved.duckdb")
    moved = ("--duckdb", "moved.duckdb", *WHERE[2:])
    assert run(where=moved, hours=("--start", str(LAST - 5 * HOUR))) == 2
    assert "forget-ohlcv" in capsys.readouterr().err
    assert main(["forget-ohlcv", "--feat-duckdb", "features.duckdb"]) == 0
    assert run(where=moved, hours=("--start", str(LAST - 5 * HOUR))) == 0
    Path("configs").mkdir()
    Path("configs", "btc.yaml").write_text(
        f"name: btc\nfirst_hour: 2025-01-01\nsource: {{database: ../moved.duckdb, table: {TABLE}}}\n"
        "target_database: ../features.duckdb\nfeature_sets: [{key: short, base_hours: 48, timeframes: [1H, 4H]}]\n"
    )
    assert main(["run", "--feature-key", "short", "--start", str(LAST - 8 * HOUR), "--end", str(LAST)]) == 0
    assert len(stored(market)) == 9


@pytest.mark.parametrize("names", [NAMES, NAMES[:100]], ids=["all", "a list without missing values"])
def test_a_key_of_the_script_is_continued_in_its_spelling_and_the_script_continues_it_again(market, names):
    store_as_the_script(market.target_database, market.feature_sets[0], ohlcv_of(market), EARLIER, names)
    listed = () if names is NAMES else feature_list(list(names))
    assert run(*listed) == 0
    texts = stored(market)["features"]
    assert len(texts) == 13
    assert all(list(json.loads(text)) == list(names) for text in texts)
    assert not any("null" in text for text in texts)
    again = hour_range(LAST - 20 * HOUR, LAST - 13 * HOUR)
    store_as_the_script(market.target_database, market.feature_sets[0], ohlcv_of(market), again, names)
    assert run("--start", str(LAST - 25 * HOUR), *listed) == 0
    frame = pd.DataFrame([json.loads(text) for text in stored(market)["features"]])
    assert len(frame) == 26
    assert (frame.dtypes == "float64").all(), "a reader that does json.loads gets numbers in every column"


def test_a_new_key_begins_with_null_and_takes_the_tokens_on_request(market):
    assert run(*feature_list(["close_hurst_100_4H"])) == 0
    assert json.loads(stored(market)["features"].iloc[0]) == {"close_hurst_100_4H": None}
    assert main(["run", *WHERE, "--feature-key", "tokens", *SHORT, *HOURS_ASKED, "--missing", "nan"]) == 0
    assert "NaN" in stored(market, "tokens")["features"].iloc[0]


def test_a_key_whose_rows_were_deleted_is_new_again(market):
    assert run() == 0
    with duckdb.connect(market.target_database) as connection:
        connection.execute("DELETE FROM features")
    assert run("--base-hours", "72") == 0


def test_a_contract_that_is_not_known_is_not_compared():
    known = KeyContract(("a", "b"))
    wanted = KeyContract(("a", "b"), ("1H",), 48, 0, None, OhlcvIdentity("btc", "/x", "t"))
    assert wanted.continuing(known, "key", "db").missing == "null"
    assert wanted.continuing(KeyContract(("a", "b"), missing="nan"), "key", "db").missing == "nan"
    with pytest.raises(UserError, match="OHLCV: market eth"):
        wanted.continuing(KeyContract(("a", "b"), ohlcv=OhlcvIdentity("eth", "/y", "t")), "key", "db")


def test_a_key_of_the_script_takes_no_rows_of_another_market_or_lookback(market, capsys):
    """Such a key does not say what it was computed from; its rows do."""
    store_as_the_script(market.target_database, market.feature_sets[0], ohlcv_of(market), EARLIER)
    before = rows(market)
    assert main(["run", *second_market(market), "--feature-key", "short", *SHORT, *HOURS_ASKED]) == 2
    assert "10 of 10 rows under the key short" in capsys.readouterr().err
    assert run("--base-hours", "72") == 2
    assert "with 72 base hours and 0 buffer hours: they have another market or lookback" in capsys.readouterr().err
    assert rows(market) == before
    assert run() == 0


def test_forgotten_ohlcv_must_still_be_the_same(market, capsys):
    assert run(hours=("--start", str(EARLIER[0]), "--end", str(EARLIER[-1]))) == 0
    assert main(["forget-ohlcv", "--feat-duckdb", "features.duckdb"]) == 0
    before = rows(market)
    assert main(["run", *second_market(market, TABLE), "--feature-key", "short", *SHORT, *HOURS_ASKED]) == 2
    assert "10 of 10 rows under the key short" in capsys.readouterr().err
    assert rows(market) == before
    assert run() == 0


def test_two_folders_that_share_a_target_and_a_market_name_are_two_markets(market, tmp_path, capsys):
    """Copied YAML: the same name and table, another file."""
    second_market(market, TABLE)
    fields = f"table: {TABLE}}}\ntarget_database: ../../features.duckdb\nfeature_sets: "
    for folder, database in (("first", "ohlcv"), ("second", "other")):
        (tmp_path / folder / "configs").mkdir(parents=True)
        (tmp_path / folder / "configs" / "btc.yaml").write_text(
            f"name: btc\nfirst_hour: 2025-01-01\nsource: {{database: ../../{database}.duckdb, {fields}"
            "[{key: short, base_hours: 48, timeframes: [1H, 4H]}]\n"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "first")
        assert main(["run", "--feature-key", "short", *HOURS_ASKED]) == 0
        before = rows(market)
        patch.chdir(tmp_path / "second")
        later = ("--start", str(LAST - 9 * HOUR), "--end", str(LAST - 5 * HOUR))
        assert main(["run", "--feature-key", "short", *later]) == 2
    assert "3 of 3 rows under the key short" in capsys.readouterr().err
    assert rows(market) == before


def test_bars_of_another_market_are_not_overwritten(market, instance):
    assert run(hours=("--start", str(LAST - 200 * HOUR), "--end", str(LAST))) == 0
    second_market(market, TABLE)
    with duckdb.connect(market.target_database) as connection:
        connection.execute("DELETE FROM bars_source")
        before = connection.execute("FROM bars_4h").fetchall()
    other = market.model_copy(
        update={
            "source": market.source.model_copy(update={"database": market.source.database.with_name("other.duckdb")})
        }
    )
    result = run_range(instance, other, LAST - 100 * HOUR, LAST)
    assert not result.success
    assert "bars in bars_4h of" in failures(result.all_events)[0]
    with duckdb.connect(market.target_database, read_only=True) as connection:
        assert connection.execute("FROM bars_4h").fetchall() == before

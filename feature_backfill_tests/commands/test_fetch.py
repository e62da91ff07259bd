"""`feature-backfill fetch` as its user calls it."""

import dagster as dg
import pytest

from feature_backfill.cli import main
from feature_backfill.hours import HOUR, hour_range, partition_keys
from feature_backfill.sources import retrying
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.exchange import faults
from feature_backfill_tests.exchange.scene import NOW, TABLE, served_scene
from feature_backfill_tests.markets import configure, small_market

FIRST = NOW.floor("h") - 60 * HOUR
CLOSED = NOW.floor("h") - HOUR


@pytest.fixture
def scene(tmp_path, monkeypatch, dagster_home):
    """A simulated exchange, and a market in configs/ whose source it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(retrying, "PAUSES_S", (0.01,) * len(retrying.PAUSES_S))
    with served_scene(tmp_path) as scene:
        configure(scene.market(FIRST), tmp_path / "configs")
        yield scene


def reported(market="btc"):
    with dg.DagsterInstance.get() as instance:
        return instance.get_materialized_partitions(dg.AssetKey([market, "ohlcv"]))


def test_it_says_what_came_from_where_and_reports_the_hours(scene, capsys):
    gap = FIRST + 3 * HOUR
    scene.served.remove(gap)
    assert main(["fetch", "btc"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{TABLE} of {scene.folder / 'ohlcv.duckdb'}, fetched from binanceusdm, BTC/USDT:USDT: 59 rows new (API 59), "
        "0 changed, 0 the same",
        f"not on the exchange: 1 hours, {gap:%Y-%m-%d %H:%M} .. {gap:%Y-%m-%d %H:%M}",
    ]
    assert reported() == set(partition_keys(hour_range(FIRST, CLOSED).drop(gap)))
    scene.served.restate(CLOSED, 1.5)
    scene.later(days=1)
    assert main(["fetch", "btc"]) == 0
    first, restated, absent, given_up = capsys.readouterr().out.splitlines()
    assert first.endswith("24 rows new (API 24), 1 changed, 23 the same")
    assert restated.startswith(f"restated 1 hours, {CLOSED:%Y-%m-%d %H:%M} .. ")
    assert absent.startswith("not on the exchange: 1 hours")
    assert given_up.startswith("asked for in vain for a day, and not asked for again without --since: 1 hours")
    scene.assert_table_is_what_the_exchange_holds(FIRST)


def test_since_fetches_from_there_on(scene, capsys):
    assert main(["fetch", "btc", "--since", f"{CLOSED - 2 * HOUR}"]) == 0
    assert "3 rows new" in capsys.readouterr().out


def test_what_came_before_a_failure_is_reported_and_the_exit_code_is_3(scene, capsys):
    """The archive gives a month and three days, which the API bears out. Then the API breaks down."""
    configure(scene.market(NOW.normalize() - 31 * 24 * HOUR, archive=scene.exchange.url), scene.folder / "configs")
    asked = []

    def after_the_sample(answer):
        asked.append(answer)
        return answer if len(asked) < 3 else faults.down(answer)

    scene.faults.switch_on(after_the_sample, "v1/klines")
    assert main(["fetch", "btc"]) == 3
    output = capsys.readouterr()
    (line,) = [line for line in output.err.splitlines() if "asking again" not in line]
    assert line.startswith("feature-backfill fetch: failed: binanceusdm BTC/USDT:USDT, candles from ")
    assert "(archive " in output.out
    assert len(reported()) == len(scene.stored())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "eth"], "no market eth in configs/, which has btc; name one of them or describe it there"),
        (["fetch", "btc", "--since", "soon"], "--since: not a timestamp: 'soon'"),
        (["fetch", "btc", "--since", "1735689600"], "--since: not a timestamp: '1735689600'"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(scene, capsys, arguments, message):
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_location_that_is_not_served_is_exit_code_2(scene, capsys):
    scene.faults.switch_on(faults.status(451))
    assert main(["fetch", "btc"]) == 2
    output = capsys.readouterr()
    assert "does not serve this location (HTTP 451)" in output.err
    assert output.out == ""


def test_the_files_of_a_folder_are_imported(tmp_path, monkeypatch, dagster_home, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    synthetic_ohlcv(FIRST, 30, seed=2).to_csv("files/a.csv", index=False)
    (tmp_path / "files" / "b.csv").write_text("a,b\n1,2\n")
    source = {"database": "files.duckdb", "table": "t", "folder": "files"}
    configure(small_market(tmp_path, source=source, first_hour=FIRST), tmp_path / "configs")
    assert main(["fetch", "small"]) == 0
    first, warning = capsys.readouterr().out.splitlines()
    assert first.endswith("30 rows new (files 30), 0 changed, 0 the same")
    assert warning.startswith(f"warning: {tmp_path / 'files' / 'b.csv'} lacks the column timestamp")
    assert len(reported("small")) == 30


def test_a_table_that_somebody_else_fills_is_left_alone(tmp_path, monkeypatch, dagster_home, capsys):
    monkeypatch.chdir(tmp_path)
    market = small_market(tmp_path)
    configure(market, tmp_path / "configs")
    before = market.source.database.read_bytes()
    assert main(["fetch", "small"]) == 0
    assert capsys.readouterr().out.endswith("filled by somebody else: 0 rows new, 0 changed, 0 the same\n")
    assert market.source.database.read_bytes() == before


def test_features_are_computed_from_what_was_fetched(scene, capsys):
    assert main(["fetch", "btc"]) == 0
    assert main(["run", "--feature-key", "short", "--start", f"{CLOSED - HOUR}", "--end", f"{CLOSED}"]) == 0
    assert "short: computed 2 hours" in capsys.readouterr().out

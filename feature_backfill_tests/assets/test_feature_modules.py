"""A feature set with a module of features, through real runs: its rows, its contract, and what is refused."""

import json
import sys

import dagster as dg
import pandas as pd
import pytest

from feature_backfill import feature_names, read_features
from feature_backfill.assets.features import features_table
from feature_backfill.checks.parity import parity
from feature_backfill.cli import main
from feature_backfill.config import modules
from feature_backfill.definitions import defs
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR
from feature_backfill_tests.markets import (
    LAST,
    TABLE,
    WHERE,
    configure,
    execute,
    execute_on_target,
    ohlcv_of,
    small_market,
    stored,
    window,
)

MODULE = '''
"""Features of a desk."""

from feature_backfill import Feature, OhlcvWindows, Windows, computes

VERSION = {version}


@computes(Feature("{name}", 3, "{summary}"))
def change_2(w: Windows):
    """100 (C_T - C_(T-2)) / C_(T-2)."""
    before = w.last(w.close, 2)
    return {formula}


@computes(
    Feature("desk_taker", 2, "taker volume of two bars"),
    columns=("taker",),
    reference=lambda b: sum(b.columns["taker"][-2:]),
)
def taker(w: OhlcvWindows):
    """B_T + B_(T-1)."""
    return w.sum(w.column("taker"), 2)
'''
SHORT = ("--base-hours", "48", "--timeframes", "1H", "4H")
COLUMN = ("--column", "taker", "sum", "skip")
OWN = [f"{name}_{timeframe}" for timeframe in ("1H", "4H") for name in ("desk_change_2", "desk_taker")]


def forget_modules():
    """Have modules imported again, as a new process would."""
    for name in ("desk_features", "desk_helper"):
        sys.modules.pop(name, None)
    modules._meant.clear()
    modules.feature_module.cache_clear()
    modules.catalog_of.cache_clear()


def write_module(
    folder, *, version="1", name="desk_change_2", summary="change", formula="100 * (w.last_close / before - 1)"
):
    """Write the module, and forget the one before."""
    text = MODULE.format(version=version, name=name, summary=summary, formula=formula)
    (folder / "desk_features.py").write_text(text)
    forget_modules()


@pytest.fixture
def market(tmp_path, monkeypatch, dagster_home):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write_module(tmp_path)
    market = small_market(tmp_path)
    execute(market, f"ALTER TABLE {TABLE} ADD COLUMN taker DOUBLE")
    execute(market, f"UPDATE {TABLE} SET taker = volume / 3")
    yield market
    forget_modules()


def run(*flags, hours=(LAST - 3 * HOUR, LAST), key="desk"):
    return main(["run", *WHERE, "--feature-key", key, *SHORT, *window(*hours), *flags])


def with_module(*flags, **options):
    return run("--feature-modules", "desk_features", *COLUMN, *flags, **options)


def desk_market(tmp_path, **changes):
    return small_market(
        tmp_path,
        source={"database": "ohlcv.duckdb", "table": TABLE, "columns": {"taker": {"bar": "sum", "if_bad": "skip"}}},
        feature_sets=[
            {"key": "desk", "base_hours": 48, "timeframes": ["1H", "4H"], "feature_modules": ["desk_features"]}
        ],
        **changes,
    )


def test_rows_have_the_built_in_names_and_then_the_modules(market, tmp_path, capsys):
    assert with_module() == 0
    assert "computed 4 hours of 224 features" in capsys.readouterr().out
    names = [list(json.loads(text)) for text in stored(market, "desk")["features"]]
    assert names == [[*feature_names(["1H", "4H"]), *OWN]] * 4
    rows = read_features(market.target_database, "desk")
    ohlcv = ohlcv_of(market).set_index("timestamp")
    assert rows.at[LAST, "desk_change_2_1H"] == pytest.approx(
        100 * (ohlcv["close"].iloc[-1] / ohlcv["close"].iloc[-3] - 1), rel=1e-9
    )
    assert rows.at[LAST, "desk_taker_4H"] == pytest.approx(
        ohlcv.loc[LAST.floor("4h") - 7 * HOUR : LAST.floor("4h"), "volume"].sum() / 3
    )
    found = parity(desk_market(tmp_path), desk_market(tmp_path).feature_sets[0], 4, 1)
    assert found.passed
    assert found.metadata["features_by_way"].value == {"oracle": 220, "single hour": 2, "reference": 2}


@pytest.mark.parametrize("column", ["desk_change_2_4H", "desk_taker_1H"])
def test_parity_finds_a_changed_value_of_an_own_feature(market, tmp_path, column):
    assert with_module() == 0
    row = json.loads(stored(market, "desk")["features"].iloc[-1])
    row[column] += 1e-3
    execute_on_target(market, "UPDATE features SET features = ? WHERE ts = ?", json.dumps(row), LAST)
    described = desk_market(tmp_path)
    found = parity(described, described.feature_sets[0], 4, 1)
    assert not found.passed
    assert [record.data["feature"] for record in found.metadata["worst_features"].records] == [column]


def test_a_list_may_name_own_features(market, tmp_path, capsys):
    (tmp_path / "list.json").write_text(json.dumps(["desk_taker_1H", "close_sma_20_4H"]))
    assert with_module("--feature-list", "list.json") == 0
    assert [list(json.loads(text)) for text in stored(market, "desk")["features"]] == [
        ["desk_taker_1H", "close_sma_20_4H"]
    ] * 4


def test_turning_a_module_on_for_a_key_with_rows_is_refused(market, capsys):
    assert run(key="desk") == 0
    before = stored(market, "desk")
    assert with_module(hours=(LAST - 5 * HOUR, LAST)) == 2
    error = capsys.readouterr().err
    assert "220 features there, 224 here (only here: desk_change_2_1H" in error
    assert "feature modules: none there, desk_features version 1 here; columns: none there, taker: sum" in error
    assert "Use another feature key, or start this one anew with feature-backfill retire-key" in error
    pd.testing.assert_frame_equal(stored(market, "desk"), before)
    assert main(["retire-key", "--feature-key", "desk", "--feat-duckdb", "features.duckdb"]) == 0
    assert with_module() == 0
    assert len(stored(market, "desk")) == 4


def test_another_version_is_refused(market, tmp_path, capsys):
    assert with_module() == 0
    write_module(tmp_path, version="2")
    assert with_module(hours=(LAST - 5 * HOUR, LAST)) == 2
    assert "feature modules: desk_features version 1 there, desk_features version 2 here" in capsys.readouterr().err
    assert len(stored(market, "desk")) == 4


def test_another_rule_of_a_column_is_refused(market, capsys):
    assert with_module() == 0
    other = ("--feature-modules", "desk_features", "--column", "taker", "mean", "skip")
    assert run(*other, hours=(LAST - 5 * HOUR, LAST)) == 2
    assert "columns: taker: sum, skip if bad there, taker: mean, skip if bad here" in capsys.readouterr().err


def test_source_that_changed_without_its_version_warns_once_if_the_values_stay(market, tmp_path, capsys):
    assert with_module() == 0
    write_module(tmp_path, summary="the change", formula="(w.last_close / before - 1) * 100")
    assert with_module(hours=(LAST - 5 * HOUR, LAST)) == 0
    assert "warning: the source of desk_features was changed, and VERSION = 1 was not" in capsys.readouterr().err
    assert with_module(hours=(LAST - 6 * HOUR, LAST)) == 0
    assert "warning" not in capsys.readouterr().err
    assert len(stored(market, "desk")) == 7


def test_source_that_changed_the_values_without_its_version_is_refused(market, tmp_path, capsys):
    assert with_module() == 0
    write_module(tmp_path, formula="100 * (w.last_close / before - 1) + 1e-4")
    assert with_module(hours=(LAST - 5 * HOUR, LAST)) == 2
    error = capsys.readouterr().err
    assert (
        f"desk_features gives other values than those stored under the key desk, for instance of {OWN[0]} at" in error
    )
    assert "raise VERSION, and use another feature key" in error
    assert len(stored(market, "desk")) == 4


def test_comments_and_docstrings_are_no_change(market, tmp_path, capsys):
    assert with_module() == 0
    file = tmp_path / "desk_features.py"
    file.write_text("# A comment.\n" + file.read_text().replace("Features of a desk.", "Other words."))
    forget_modules()
    assert with_module(hours=(LAST - 5 * HOUR, LAST)) == 0
    assert capsys.readouterr().err == ""


def test_rows_that_rest_on_a_corrected_column_are_stale(market, capsys):
    assert with_module() == 0
    assert run(key="plain") == 0
    execute(market, f"UPDATE {TABLE} SET taker = taker * 2 WHERE timestamp = ?", LAST - HOUR)
    flags = ("recompute-stale", *WHERE, *SHORT)
    assert main([*flags, "--feature-key", "plain"]) == 0
    assert "plain: 0 of 4 stored hours are stale" in capsys.readouterr().out
    assert main([*flags, "--feature-key", "desk", "--feature-modules", "desk_features", *COLUMN]) == 0
    assert "desk: 2 of 4 stored hours are stale" in capsys.readouterr().out


def test_hours_without_a_value_are_skipped_under_the_keys_that_read_it(market, capsys):
    execute(market, f"UPDATE {TABLE} SET taker = NULL WHERE timestamp = ?", LAST - HOUR)
    assert with_module() == 0
    assert "taker is not a number" in capsys.readouterr().out
    assert list(stored(market, "desk")["ts"]) == [LAST - 3 * HOUR, LAST - 2 * HOUR]
    assert run(key="plain") == 0
    assert len(stored(market, "plain")) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: (folder / "desk_features.py").unlink(),
            "desk_features cannot be imported: ModuleNotFoundError",
        ),
        (
            lambda folder: (folder / "desk_features.py").write_text("1 +"),
            "desk_features cannot be imported: SyntaxError",
        ),
        (
            lambda folder: (folder / "desk_features.py").write_text("x = 1"),
            "says no version; write VERSION = 1, and raise",
        ),
        (lambda folder: (folder / "desk_features.py").write_text("VERSION = 1"), "desk_features declares no features"),
        (lambda folder: write_module(folder, name="close_sma_20"), "the name close_sma_20 is taken; rename it"),
    ],
)
def test_a_module_that_cannot_be_used_is_named(market, tmp_path, capsys, change, message):
    change(tmp_path)
    assert with_module() == 2
    assert message in capsys.readouterr().err
    assert stored(market, "desk").empty


def test_a_column_that_nobody_described_or_that_lacks_is_named(market, capsys):
    assert run("--feature-modules", "desk_features") == 2
    assert (
        "the feature modules of desk read the column taker of the OHLCV table; say what it is"
        in capsys.readouterr().err
    )
    execute(market, f"ALTER TABLE {TABLE} DROP COLUMN taker")
    assert with_module() == 2
    assert "lacks the further column taker; it has" in capsys.readouterr().err


def test_a_yaml_names_a_module_beside_it(market, tmp_path, monkeypatch, capsys):
    configs = tmp_path / "configs"
    configure(desk_market(tmp_path), configs)
    (tmp_path / "desk_features.py").rename(configs / "desk_features.py")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(tmp_path)])
    forget_modules()
    assert main(["check-config"]) == 0
    assert main(["run", "--feature-key", "desk", *window(LAST - HOUR, LAST)]) == 0
    assert "computed 2 hours of 224 features" in capsys.readouterr().out


def test_the_asset_describes_own_features(market, tmp_path):
    described = desk_market(tmp_path)
    assert features_table(described.feature_sets[0]).splitlines()[-2:] == [
        "| desk_change_2_... | 1H, 4H | change |",
        "| desk_taker_... | 1H, 4H | taker volume of two bars |",
    ]


def test_a_module_that_breaks_stops_its_own_market_only(market, tmp_path):
    configs = tmp_path / "configs"
    configure(desk_market(tmp_path), configs)
    configure(small_market(tmp_path, name="other", target_database="other.duckdb"), configs)
    assert desk_key(defs()) in executable(defs())
    (tmp_path / "desk_features.py").write_text("1 +")
    forget_modules()
    assert desk_key(defs()) not in executable(defs())
    assert dg.AssetKey(["other", "features", "short"]) in executable(defs())


def desk_key(definitions):
    """The features of the desk, which the definitions have in any case."""
    key = dg.AssetKey(["small", "features", "desk"])
    assert key in definitions.resolve_all_asset_keys()
    return key


def executable(definitions):
    graph = definitions.resolve_asset_graph()
    return graph.executable_asset_keys


def test_a_helper_that_changed_the_values_is_noticed(market, tmp_path, capsys):
    helper = tmp_path / "desk_helper.py"
    helper.write_text("FACTOR = 100\n")
    source = (tmp_path / "desk_features.py").read_text()
    text = source.replace("VERSION = 1", "import desk_helper\n\nVERSION = 1").replace(
        "100 * (", "desk_helper.FACTOR * ("
    )
    (tmp_path / "desk_features.py").write_text(text)
    forget_modules()
    assert with_module() == 0
    helper.write_text("FACTOR = 200\n")
    forget_modules()
    assert with_module(hours=(LAST - 5 * HOUR, LAST)) == 2
    assert "desk_features gives other values than those stored under the key desk" in capsys.readouterr().err


def test_a_small_value_that_changed_is_noticed(market, tmp_path, capsys):
    write_module(tmp_path, formula="1e-10 * (w.last_close / before - 1)")
    assert with_module() == 0
    write_module(tmp_path, formula="2e-10 * (w.last_close / before - 1)")
    assert with_module(hours=(LAST - 5 * HOUR, LAST)) == 2
    assert "gives other values than those stored" in capsys.readouterr().err


def test_rows_without_their_contract_are_compared_with_the_module(market, tmp_path, capsys):
    assert with_module() == 0
    for table in ("feature_keys", "feature_key_modules"):
        execute_on_target(market, f"DROP TABLE {table}")
    write_module(tmp_path, version="2", formula="3 * (w.last_close / before - 1)")
    assert with_module(hours=(LAST - 5 * HOUR, LAST)) == 2
    assert "desk_features gives other values than those stored under the key desk" in capsys.readouterr().err


def test_a_key_whose_rows_were_deleted_may_become_another(market):
    assert with_module() == 0
    execute_on_target(market, "DELETE FROM features")
    assert run(key="desk") == 0
    assert run(key="desk", hours=(LAST - 5 * HOUR, LAST)) == 0


def test_two_folders_with_one_module_name_are_refused(market, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "desk_features.py").write_text((tmp_path / "desk_features.py").read_text())
    desk_market(tmp_path)
    with pytest.raises(UserError, match="two folders have a feature module desk_features: "):
        desk_market(other)


def test_keys_shows_modules_and_columns(market, capsys):
    assert with_module() == 0
    capsys.readouterr()
    assert main(["keys", "--feat-duckdb", "features.duckdb", "--json"]) == 0
    (key,) = json.loads(capsys.readouterr().out)
    assert (key["modules"], key["columns"]) == (["desk_features version 1"], ["taker: sum, skip if bad"])
    assert main(["keys", "--feat-duckdb", "features.duckdb"]) == 0
    assert "those of desk_features version 1 among them" in capsys.readouterr().out

"""`feature-backfill check-config`, and the other commands while the YAML of some market is broken."""

from pathlib import Path

import pytest

from feature_backfill.cli import main
from feature_backfill.hours import HOUR
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.markets import FIRST, TABLE, configure, put_ohlcv, stored, window
from feature_backfill_tests.markets import HOURS as COUNT

HOURS = window(FIRST + 60 * HOUR, FIRST + 61 * HOUR)
NOTHING_OF_SMALL = "name: other\nfirst_hour: [\n"
KEY_OF_SMALL = "name: other\nfirst_hour: [\nfeature_sets: [{key: short}]\n"
TABLE_OF_SMALL = f"name: other\nfirst_hour: [\nsource: {{table: {TABLE}}}\n"


@pytest.fixture
def broken(market, tmp_path):
    """The small market in configs/; writes a file other.yaml beside it."""
    configure(market, tmp_path / "configs")
    return (tmp_path / "configs" / "other.yaml").write_text


def error_line(capsys):
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("feature-backfill ")]
    return line


def test_check_config_says_of_each_file_what_is_in_it_or_what_is_wrong(broken, capsys):
    assert main(["check-config"]) == 0
    assert capsys.readouterr().out == "small: short: ok\n"
    broken("name: other\n")
    for arguments in ([], ["configs"]):
        assert main(["check-config", *arguments]) == 2
        output, error = capsys.readouterr()
        good, bad = output.splitlines()
        file = Path("configs/other.yaml").resolve()
        assert good == "small: short: ok"
        assert bad.startswith(f"other.yaml is broken: {file}: first_hour: Field required; ")
        assert error == f"feature-backfill check-config: 1 of 2 files are broken: {file}\n"


def test_check_config_of_a_folder_without_markets(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check-config"]) == 2
    assert "no market YAML in" in error_line(capsys)
    assert main(["check-config", "nowhere"]) == 2
    assert "no folder nowhere" in error_line(capsys)


def test_a_market_runs_beside_a_broken_one(broken, market):
    broken(NOTHING_OF_SMALL)
    for number, meant in enumerate(((), ("--market", "small"), ("--duckdb", "ohlcv.duckdb", "--table", TABLE)), 1):
        hours = window(FIRST + 60 * HOUR, FIRST + (60 + number) * HOUR)
        assert main(["run", *meant, "--feature-key", "short", *hours]) == 0
        assert len(stored(market)) == number + 1


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (KEY_OF_SMALL, ["--feature-key", "short"]),
        (NOTHING_OF_SMALL, ["--feature-key", "long"]),
        (NOTHING_OF_SMALL, ["--market", "other", "--feature-key", "short"]),
        (NOTHING_OF_SMALL, ["--duckdb", "ohlcv.duckdb", "--table", "other", "--feature-key", "short"]),
        (TABLE_OF_SMALL, ["--duckdb", "another.duckdb", "--table", TABLE, "--feature-key", "short"]),
    ],
)
def test_a_broken_file_that_may_be_meant_is_named(broken, market, capsys, text, meant):
    broken(text)
    put_ohlcv(Path("another.duckdb"), synthetic_ohlcv(FIRST, COUNT, seed=4))
    put_ohlcv(Path("ohlcv.duckdb"), synthetic_ohlcv(FIRST, COUNT, seed=4), "other")
    assert main(["run", *meant, *HOURS]) == 2
    assert "other.yaml is not YAML" in error_line(capsys)
    assert stored(market).empty


def test_naming_the_market_tells_it_from_a_broken_one_with_the_same_key(broken, market):
    broken(KEY_OF_SMALL)
    assert main(["run", "--market", "small", "--feature-key", "short", *HOURS]) == 0
    assert len(stored(market)) == 2


def test_repair_of_all_markets_repairs_the_others_and_fails(broken, capsys):
    broken(KEY_OF_SMALL)
    assert main(["repair"]) == 2
    output, error = capsys.readouterr()
    assert output.startswith("small/ohlcv: ")
    assert "other.yaml is not YAML" in error
    assert main(["repair", "--market", "small"]) == 0
    assert main(["repair", "--market", "other"]) == 2
    assert "other.yaml is not YAML" in capsys.readouterr().err

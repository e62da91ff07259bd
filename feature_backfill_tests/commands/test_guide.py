"""The script's commands as its users type them, with nothing changed but the program's name."""

from dataclasses import dataclass, field

import duckdb
import pandas as pd
import pytest

from feature_backfill.cli import main
from feature_backfill.commands.shared.instance import local_instance, shipped_config
from feature_backfill.hours import HOUR, hour_range, last_closed_hour
from feature_backfill.sources.files import import_files
from feature_backfill.sources.synthetic import synthetic_ohlcv

NEWEST = last_closed_hour()
OLDEST = NEWEST - 71 * HOUR
"""The first hour that has 720 hours of history."""

NOW = (NEWEST + HOUR + pd.Timedelta(minutes=12)).tz_localize("UTC")
LIST = str(shipped_config("feature_lists/binance_btcusdt_p60_default.json"))


def back(hours: int) -> pd.Timestamp:
    return NEWEST - hours * HOUR


def text(hours: int) -> str:
    """As one types it."""
    return back(hours).strftime("%Y-%m-%dT%H:%M")


def span(first: int, last: int) -> list[pd.Timestamp]:
    return list(hour_range(back(first), back(last)))


@dataclass(frozen=True)
class Command:
    """A command of the guide: its flags beside those that all have, the hours that it computes, what it prints.

    stored: hours before the newest that are stored already, first and last.
    """

    flags: list[str]
    computed: list[pd.Timestamp]
    printed: str
    stored: tuple[int, int] | None = None
    files: dict[str, str] = field(default_factory=dict)


GUIDE = {
    "the last 49 hours": Command([], span(48, 0), "computed 49 hours of 440 features, kept 0, skipped 0"),
    "a window, of the features of a list": Command(
        ["--start", text(40), "--end", text(16), "--feature-list", LIST],
        span(40, 16),
        "computed 25 hours of 326 features, kept 0, skipped 0",
    ),
    "only an end": Command(["--end", text(10)], span(58, 10), "computed 49 hours of 440 features, kept 0, skipped 0"),
    "only a start": Command(["--start", text(5)], span(5, 0), "computed 6 hours of 440 features, kept 0, skipped 0"),
    "what is new": Command(
        ["--mode", "last_from_features"],
        span(2, 0),
        "computed 3 hours of 440 features, kept 0, skipped 0",
        stored=(4, 3),
    ),
    "what is new, up to an end": Command(
        ["--mode", "last_from_features", "--end", text(1)],
        span(2, 1),
        "computed 2 hours of 440 features, kept 0, skipped 0",
        stored=(4, 3),
    ),
    "listed hours": Command(
        ["--mode", "ts_list", "--ts", text(30), text(20), text(10)],
        [back(30), back(20), back(10)],
        "computed 3 hours of 440 features, kept 0, skipped 0",
    ),
    "hours of a file": Command(
        ["--mode", "ts_list", "--ts-file", "hours.txt"],
        [back(9), back(8)],
        "computed 2 hours of 440 features, kept 0, skipped 0",
        files={"hours.txt": f"{text(8)}\n\n{text(9)}Z\n"},
    ),
    "a dry run of the oldest": Command(
        ["--at-most", "3", "--dry-run"], [], f"{back(48)} .. {back(0)}: compute 3 hours of 440 features, keep 0, skip 0"
    ),
    "stored hours again": Command(
        ["--start", text(4), "--end", text(3), "--overwrite"],
        span(4, 3),
        "computed 2 hours of 440 features, kept 0, skipped 0",
        stored=(4, 3),
    ),
    "other settings under another key": Command(
        ["--base-hours", "168", "--buffer-hours", "23", "--timeframes", "1H", "4H", "--start", text(1)],
        span(1, 0),
        "computed 2 hours of 220 features, kept 0, skipped 0",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with a market of 791 hours up to the last closed one, and a home of Dagster."""
    folder = tmp_path_factory.mktemp("guide")
    first = OLDEST - 719 * HOUR
    synthetic_ohlcv(first, 791).to_csv(folder / "ohlcv.csv", index=False)
    import_files([folder / "ohlcv.csv"], folder / "O.duckdb", "ohlcv_btcusdt_1h")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder / "home"))
        with local_instance(folder / "home"):
            pass
    return folder


def rows(key: str) -> dict[pd.Timestamp, object]:
    """When the rows of a key were created, by hour."""
    with duckdb.connect("F.duckdb") as connection:
        if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'features'").fetchall():
            return {}
        found = connection.execute("SELECT ts, created_at FROM features WHERE feature_key = ?", [key]).fetchall()
    return {pd.Timestamp(ts): created for ts, created in found}


@pytest.mark.parametrize("program", [[], ["run"]], ids=["without the word run", "with it"])
@pytest.mark.parametrize("what", GUIDE)
def test_a_command_does_and_prints_what_the_guide_says(folder, monkeypatch, capsys, program, what):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "home"))
    monkeypatch.setattr(pd.Timestamp, "now", classmethod(lambda cls, tz=None: NOW.tz_convert(tz)))
    command = GUIDE[what]
    for name, content in command.files.items():
        (folder / name).write_text(content)
    key = "_".join([*program, *what.replace(",", "").split()])
    typed = ["--duckdb", "O.duckdb", "--feat-duckdb", "F.duckdb", "--table", "ohlcv_btcusdt_1h", "--feature-key", key]
    if command.stored is not None:
        first, last = command.stored
        assert main([*typed, "--start", text(first), "--end", text(last)]) == 0
        if "--overwrite" in command.flags:
            with duckdb.connect("F.duckdb") as connection:  # an overwrite leaves rows alone that it would not change
                connection.execute("UPDATE features SET features = '{}' WHERE feature_key = ?", [key])
    before = rows(key)
    capsys.readouterr()
    assert main([*program, *typed, *command.flags]) == 0
    printed = capsys.readouterr().out
    assert command.printed in printed
    assert ("stored in" in printed) == bool(command.computed)
    after = rows(key)
    assert sorted(hour for hour in after if after[hour] != before.get(hour)) == command.computed
    assert before.keys() <= after.keys()

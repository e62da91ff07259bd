"""Every bad input that is tested: how a user gives it to the command line, and the message that the user reads.

`python -m feature_backfill_tests.bad_inputs` writes the cases as tables into `docs/bad-input.md`.
"""
# One case a line, as in the tables that they become.
# ruff: noqa: E501

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from feature_backfill.hours import HOUR, last_closed_hour
from feature_backfill.sources import retrying
from feature_backfill_tests.csv_files import HEADER, SOUND, kline, rows, zipped
from feature_backfill_tests.full_disk import no_room
from feature_backfill_tests.holders import held_by_another_process
from feature_backfill_tests.markets import FIRST, LAST, LOOKBACK, TABLE, WHERE, window

REFUSED, FAILED, DONE = 2, 3, 0
SOURCE, TARGET = "ohlcv.duckdb", "features.duckdb"
WINDOW = window(LAST - 2 * HOUR, LAST)
FUTURE = last_closed_hour() + 3 * HOUR

YAML = f"""\
name: small
first_hour: 2025-01-01
source: {{database: ../{SOURCE}, table: {TABLE}}}
target_database: ../{TARGET}
feature_sets:
  - {{key: short, base_hours: 48, timeframes: [1H, 4H]}}
"""


@dataclass(frozen=True)
class Case:
    """One bad input.

    what: names the input; message: a part of the message that the user reads.
    given: prepares the input in the working folder and returns the arguments of the command.
    meanwhile: a context in which the command runs.
    """

    what: str
    message: str
    given: Callable[[], list[str]]
    code: int = REFUSED
    meanwhile: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True)
class BadRow:
    """One bad OHLCV row.

    what: names the fault; statement: SQL that makes the row of $hour bad.
    reason: why the hours that look back on the row are skipped; None if they are computed.
    """

    what: str
    statement: str
    reason: str | None


def run(
    *flags: str, where: tuple[str, ...] = WHERE, lookback: tuple[str, ...] = LOOKBACK, hours: tuple[str, ...] = WINDOW
) -> list[str]:
    key = () if "--feature-key" in flags else ("--feature-key", "short")
    return ["run", *where, *lookback, *key, *hours, *flags]


def flags(*flags: str) -> Callable[[], list[str]]:
    """A run of three hours with further flags, where the last of equal flags counts."""
    return lambda: run(*flags)


def hours(*flags: str) -> Callable[[], list[str]]:
    return lambda: run("--dry-run", *flags, hours=())


def hours_file(content: bytes) -> Callable[[], list[str]]:
    def given() -> list[str]:
        Path("hours.txt").write_bytes(content)
        return run("--dry-run", "--mode", "ts_list", "--ts-file", "hours.txt", hours=())

    return given


def execute(database: str, *statements: str) -> None:
    with duckdb.connect(database) as connection:
        for statement in statements:
            connection.execute(statement)


def source(*statements: str, table: str = TABLE) -> Callable[[], list[str]]:
    """A dry run after the OHLCV database was changed."""

    def given() -> list[str]:
        execute(SOURCE, *statements)
        own_target = () if table == TABLE else ("--feat-duckdb", "another.duckdb")
        return run("--dry-run", "--table", table, *own_target)

    return given


def target(*statements: str, then: Callable[[], list[str]] = run) -> Callable[[], list[str]]:
    """A command after the features' database was changed."""

    def given() -> list[str]:
        execute(TARGET, *statements)
        return then()

    return given


def as_features(columns: str) -> tuple[str, ...]:
    """The stored rows in a table of other columns."""
    return (
        "CREATE TABLE old AS FROM features",
        "DROP TABLE features",
        f"CREATE TABLE features AS SELECT {columns} FROM old",
    )


def in_place_of(database: str, make: Callable[[Path], object]) -> Callable[[], list[str]]:
    """A run where one of its databases is something else."""

    def given() -> list[str]:
        Path(database).unlink()
        make(Path(database))
        return run()

    return given


def sqlite(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE ohlcv (timestamp)")
    connection.close()


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def changed(database: str, change: Callable[[bytearray], object]) -> Callable[[], list[str]]:
    """A run with some bytes of a database changed."""

    def given() -> list[str]:
        content = bytearray(Path(database).read_bytes())
        change(content)
        Path(database).write_bytes(content)
        return run()

    return given


def of_a_newer_duckdb(content: bytearray) -> None:
    """Raise the storage version, and mend the header's checksum."""
    content[12:20] = (32767).to_bytes(8, "little")
    words = np.frombuffer(bytes(content), dtype="<u8", count=511, offset=8)
    checksum = np.bitwise_xor.reduce(words * np.uint64(0xBF58476D1CE4E5B9)) ^ np.uint64(5381)
    content[:8] = int(checksum).to_bytes(8, "little")


def cut_in_half(content: bytearray) -> None:
    del content[len(content) // 2 :]


def damaged(content: bytearray) -> None:
    for start in range(3 * 4096, len(content), 4096):
        content[start : start + 8] = b"\xff" * 8


def imported(content: str | bytes, name: str = "ohlcv.csv", *, into: str = "new.duckdb") -> Callable[[], list[str]]:
    def given() -> list[str]:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["import-ohlcv", name, "--duckdb", into, "--table", TABLE]

    return given


def named_like_a_file() -> list[str]:
    Path("ohlcv.csv").write_text(rows(f"2025-01-01,{SOUND}"))
    return run("--dry-run", "--table", "ohlcv.csv")


def piped() -> list[str]:
    os.mkfifo("pipe.csv")
    return ["import-ohlcv", "pipe.csv", "--duckdb", "new.duckdb", "--table", TABLE]


def wide_parquet() -> list[str]:
    pd.DataFrame([range(1000)], columns=list(map(str, range(1000)))).to_parquet("ohlcv.parquet")
    return ["import-ohlcv", "ohlcv.parquet", "--duckdb", "new.duckdb", "--table", TABLE]


def feature_list(content: str | bytes) -> Callable[[], list[str]]:
    def given() -> list[str]:
        Path("list.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        return run("--dry-run", "--feature-list", "list.json", "--feature-key", "listed")

    return given


def configured(part: str, replacement: str) -> Callable[[], list[str]]:
    """A dry run of the configured market, one part of whose YAML is replaced."""
    return described(YAML.replace(part, replacement))


def described(content: str | bytes, name: str = "small.yaml") -> Callable[[], list[str]]:
    def given() -> list[str]:
        Path("configs").mkdir(exist_ok=True)
        Path("configs", name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["run", "--feature-key", "short", *WINDOW, "--dry-run"]

    return given


def report(*arguments: str, market: str = "small", yaml: str = YAML) -> Callable[[], list[str]]:
    """A report of a market of configs/."""

    def given() -> list[str]:
        described(yaml)()
        return ["report", market, *arguments]

    return given


def alerts(target: str) -> Callable[[], list[str]]:
    """`check-config` where alerts.yaml has a target."""
    return alerts_file(f"targets:\n  - {target}\n")


def alerts_file(text: str) -> Callable[[], list[str]]:
    """`check-config` beside an alerts.yaml."""

    def given() -> list[str]:
        described(YAML)()
        Path("configs", "alerts.yaml").write_text(text)
        return ["check-config"]

    return given


def twice() -> list[str]:
    described(YAML, "again.yaml")()
    return described(YAML)()


def fetch(*arguments: str) -> Callable[[], list[str]]:
    """A fetch where the only market is one whose table somebody else fills."""

    def given() -> list[str]:
        described(YAML)()
        return ["fetch", *arguments]

    return given


def fetched(exchange: str, symbol: str) -> Callable[[], list[str]]:
    """A fetch from an exchange whose address nobody listens at."""

    def given() -> list[str]:
        source = f"table: {TABLE}, exchange: {exchange}, symbol: {symbol}, archive: none, api: 'http://127.0.0.1:9'"
        described(YAML.replace(f"table: {TABLE}", source))()
        return ["fetch", "small"]

    return given


@contextmanager
def without_pauses() -> Iterator[None]:
    """What failed is asked for again at once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retrying, "PAUSES_S", ())
        yield


def export(*flags: str, file: str = "out.parquet") -> list[str]:
    return ["export", file, "--feat-duckdb", TARGET, "--feature-key", "short", *flags]


def exported(*flags: str, file: str = "out.parquet") -> Callable[[], list[str]]:
    return lambda: export(*flags, file=file)


def selftest(*flags: str) -> list[str]:
    return ["selftest", *WHERE, *LOOKBACK, "--compare-key", "short", *flags]


@contextmanager
def not_to_be_written(path: str) -> Iterator[None]:
    """Nobody may write the file or folder. Root may what the mode forbids, but not where the file system forbids it."""
    mode = os.stat(path).st_mode
    os.chmod(path, mode & ~0o222)
    unchangeable = os.access(path, os.W_OK)
    if unchangeable and (
        not shutil.which("chattr") or subprocess.run(["chattr", "+i", path], stderr=subprocess.DEVNULL).returncode
    ):
        pytest.skip("this user may write everything here")
    try:
        yield
    finally:
        if unchangeable:
            subprocess.run(["chattr", "-i", path], check=True)
        os.chmod(path, mode)


def broken_view() -> tuple[str, ...]:
    return f"CREATE TABLE t AS FROM {TABLE}", "CREATE VIEW v AS FROM t", "DROP TABLE t"


INJECTION = f'x"; DROP TABLE {TABLE}; --'
NAMES = json.dumps(["log_close_1H"])

# fmt: off
CASES = {
    "OHLCV rows in files": [
        Case("an hour that has not closed", "refused 1, hour not closed yet", imported(rows(f"{FUTURE},{SOUND}")), DONE),
        Case("NaN", "refused 1, open is not a number", imported(rows("2025-01-01,NaN,11,9,10,5")), DONE),
        Case("infinity", "refused 1, high is infinite", imported(rows("2025-01-01,10,inf,9,10,5")), DONE),
        Case("a price of zero", "refused 1, low is not positive", imported(rows("2025-01-01,10,11,0,10,5")), DONE),
        Case("a negative price", "refused 1, low is not positive", imported(rows("2025-01-01,10,11,-9,10,5")), DONE),
        Case("high below low", "refused 1, high below low", imported(rows("2025-01-01,10,9,11,10,5")), DONE),
        Case("open outside the range", "refused 1, open outside low..high", imported(rows("2025-01-01,8,11,9,10,5")), DONE),
        Case("close outside the range", "refused 1, close outside low..high", imported(rows("2025-01-01,10,11,9,12,5")), DONE),
        Case("a negative volume", "refused 1, volume is negative", imported(rows("2025-01-01,10,11,9,10,-5")), DONE),
        Case("unequal rows for one hour", "refused 2, rows of this hour disagree", imported(rows(f"2025-01-01,{SOUND}", "2025-01-01,10,12,9,10,5")), DONE),
        Case("a timestamp off the hour", "refused 1, off the hour", imported(rows(f"2025-01-01T00:30,{SOUND}")), DONE),
        Case("text in a number column", "refused 1, close is not a number", imported(rows("2025-01-01,10,11,9,ten,5")), DONE),
        Case("a number with a thousands separator", "refused 1, open is not a number", imported(rows('2025-01-01,"1,000",1100,900,1000,5')), DONE),
        Case("a timestamp that does not parse", "refused 1, timestamp does not parse", imported(rows(f"01/02/2025,{SOUND}")), DONE),
        Case("a timestamp before 1973 (a wrong unit of time)", "refused 1, timestamp before 1973", imported(rows(f"1970-01-21T02:00,{SOUND}")), DONE),
        Case("a number that is not an epoch timestamp", "refused 2, timestamp does not parse", imported(rows(f"0,{SOUND}", f"45658,{SOUND}")), DONE),
        Case("a truncated line", "refused 1, malformed line", imported(rows(f"2025-01-01,{SOUND}", "2025-01-01T01:00,10")), DONE),
        Case("local time without an offset, when the clock goes back", "refused 2, rows of this hour disagree", imported(rows(f"2024-10-27T02:00,{SOUND}", "2024-10-27T02:00,10,12,9,10,5")), DONE),
        Case("accepted: equal rows", "1 rows new", imported(rows(f"2025-01-01,{SOUND}", f"2025-01-01,{SOUND}")), DONE),
        Case("accepted: timestamps with an offset, also when the clock goes back", "2 rows new", imported(rows(f"2024-10-27T02:00+02:00,{SOUND}", f"2024-10-27T02:00+01:00,{SOUND}")), DONE),
        Case("accepted: epoch milliseconds", "2 rows new", imported(rows(f"1735689600000,{SOUND}", f"1735693200000,{SOUND}")), DONE),
    ],
    "Files of OHLCV": [
        Case("an empty file", "lacks the column timestamp, open", imported("")),
        Case("only a header", "holds no rows", imported(HEADER + "\n")),
        Case("semicolons instead of commas", "CSV must be UTF-8 text with a header line, commas", imported(rows(f"2025-01-01,{SOUND}").replace(",", ";"))),
        Case("without a header", "lacks the column timestamp, open", imported(f"2025-01-01,{SOUND}\n")),
        Case("a repeated column", "has the column open twice", imported(rows("2025-01-01,9,10,11,9,10,5", header="timestamp,open,open,high,low,close,volume"))),
        Case("100,000 columns", "has more than 500 columns", imported(rows(header=",".join(map(str, range(100_000)))))),
        Case("Parquet with 1,000 columns", "has more than 500 columns", wide_parquet),
        Case("UTF-16", "CSV must be UTF-8 text", imported(rows(f"2025-01-01,{SOUND}").encode("utf-16"))),
        Case("random bytes", "CSV must be UTF-8 text", imported(b"\x00\xff\xfe" * 1000)),
        Case("not Parquet in spite of its name", "cannot read ohlcv.parquet", imported("PAR1", "ohlcv.parquet")),
        Case("another file type", "is neither .csv nor .parquet", imported("x", "ohlcv.xlsx")),
        Case("not a zip in spite of its name", "is no zip file, or is damaged", imported("<html>404</html>", "klines.zip")),
        Case("not gzip in spite of its name", "is no gzip file, or is damaged", imported(rows(f"2025-01-01,{SOUND}"), "klines.csv.gz")),
        Case("a zip of something else", "must hold one CSV file and nothing else; it holds readme.txt", imported(zipped(("readme.txt", "x")), "klines.zip")),
        Case("a zip of two files", "must hold one CSV file and nothing else; it holds 2 entries", imported(zipped(("a.csv", "x"), ("b.csv", "x")), "klines.zip")),
        Case("a zip that unpacks to 50 MB of zeros", "unpacks to more than", imported(zipped(("a.csv", b"0" * 50_000_000)), "klines.zip")),
        Case("accepted: an exchange's klines in a zip, without a header, in microseconds", "2 rows new", imported(zipped(("a.csv", "\n".join(kline(stamp) for stamp in (1735689600000000, 1735693200000000)))), "klines.zip"), DONE),
        Case("a missing file", "no file nowhere.csv", lambda: ["import-ohlcv", "nowhere.csv", "--duckdb", "new.duckdb", "--table", TABLE]),
        Case("a named pipe", "no file pipe.csv", piped),
        Case("imported into a table of features", "is no OHLCV table", lambda: [*imported(rows(f"2025-01-01,{SOUND}"), into=TARGET)(), "--table", "features"]),
        Case("imported into a table with an empty name", "does not take the rows", lambda: [*imported(rows(f"2025-01-01,{SOUND}"), into=TARGET)(), "--table", ""]),
    ],
    "OHLCV tables": [
        Case("a missing table", "no table nowhere in", source(table="nowhere")),
        Case("an empty table", "holds no hourly row", source(f"DELETE FROM {TABLE}")),
        Case("no timestamps", "holds no hourly row", source(f"UPDATE {TABLE} SET timestamp = NULL")),
        Case("a missing column", "is no OHLCV table: it lacks volume", source(f"ALTER TABLE {TABLE} DROP volume")),
        Case("other column names", "it lacks timestamp, open; it has open_time, o", source(f"ALTER TABLE {TABLE} RENAME open TO o", f"ALTER TABLE {TABLE} RENAME timestamp TO open_time")),
        Case("timestamps as text", "is VARCHAR; it must be TIMESTAMP", source(f"ALTER TABLE {TABLE} ALTER timestamp TYPE VARCHAR")),
        Case("timestamps as epoch numbers", "is BIGINT; it must be TIMESTAMP", source(f"ALTER TABLE {TABLE} ALTER timestamp TYPE BIGINT USING epoch_ms(timestamp)")),
        Case("timestamps as dates", "is DATE; it must be TIMESTAMP", source(f"ALTER TABLE {TABLE} ALTER timestamp TYPE DATE")),
        Case("timestamps before 1973 (a wrong unit of time)", "is before 1973", source(f"UPDATE {TABLE} SET timestamp = '1970-01-20' WHERE timestamp = '{FIRST}'")),
        Case("a view of a dropped table", "is broken", source(*broken_view(), table="v")),
        Case("a view that fails when it is read", "cannot be read: Conversion Error", source(f"CREATE VIEW v AS SELECT timestamp, CAST('x' || open AS DOUBLE) AS open, high, low, close, volume FROM {TABLE}", table="v")),
        Case("text in a number column (hours are skipped)", "skipped 3 hours, bad row", source(f"ALTER TABLE {TABLE} ALTER open TYPE VARCHAR", f"UPDATE {TABLE} SET open = 'ten' WHERE timestamp = '{LAST - 2 * HOUR}'"), DONE),
        Case("a number column of another type (hours are skipped)", "skipped 3 hours, bad row", source(f"CREATE TABLE t AS SELECT timestamp, {{'a': open}} AS open, high, low, close, volume FROM {TABLE}", table="t"), DONE),
        Case("all timestamps off the hour", "holds no hourly row", source(f"UPDATE {TABLE} SET timestamp = timestamp + INTERVAL 30 MINUTE")),
        Case("a future hour", "not closed yet", lambda: [*source(f"INSERT INTO {TABLE} VALUES ('{FUTURE}', 10, 11, 9, 10, 5)")(), "--mode", "ts_list", "--ts", str(FUTURE)], DONE),
        Case("a table name that is a file name", "no table ohlcv.csv in", named_like_a_file),
        Case("a table name that contains SQL", f"no table {INJECTION} in", source(table=INJECTION)),
        Case("accepted: a table name with quotes, semicolons, spaces and non-Latin letters", "compute 3 hours", source('CREATE TABLE "比特币 ""é""; DROP TABLE x; --" AS FROM ' + TABLE, table='比特币 "é"; DROP TABLE x; --'), DONE),
        Case("accepted: timestamps with a time zone", "compute 3 hours", source("SET TimeZone = 'America/New_York'", f"ALTER TABLE {TABLE} ALTER timestamp TYPE TIMESTAMPTZ USING timestamp AT TIME ZONE 'UTC'"), DONE),
        Case("accepted: equal rows", "compute 3 hours", source(f"INSERT INTO {TABLE} FROM {TABLE}"), DONE),
    ],
    "Databases": [
        Case("OHLCV: a missing file", "no DuckDB file", flags("--duckdb", "nowhere.duckdb")),
        Case("OHLCV: a folder", "is a directory, a pipe or a device", in_place_of(SOURCE, Path.mkdir)),
        Case("features: a folder", "is a directory, a pipe or a device", in_place_of(TARGET, Path.mkdir)),
        Case("OHLCV: a named pipe", "is a directory, a pipe or a device", in_place_of(SOURCE, os.mkfifo)),
        Case("OHLCV: a text file", "not a valid DuckDB database", in_place_of(SOURCE, lambda path: path.write_text("hello" * 5000))),
        Case("features: a text file", "not a valid DuckDB database", in_place_of(TARGET, lambda path: path.write_text("hello" * 5000))),
        Case("features: an empty file", "not a valid DuckDB database", in_place_of(TARGET, Path.touch)),
        Case("OHLCV: a SQLite database", "not a valid DuckDB database", in_place_of(SOURCE, sqlite)),
        Case("OHLCV: a CSV file", "not a valid DuckDB database", in_place_of(SOURCE, lambda path: path.write_text(rows(f"2025-01-01,{SOUND}")))),
        Case("OHLCV: from a newer DuckDB", "newer version of DuckDB", changed(SOURCE, of_a_newer_duckdb)),
        Case("features: from a newer DuckDB", "newer version of DuckDB", changed(TARGET, of_a_newer_duckdb)),
        Case("OHLCV: truncated to half its size", "cannot open", changed(SOURCE, cut_in_half)),
        Case("features: damaged blocks", "cannot open", changed(TARGET, damaged)),
        Case("OHLCV: a link to itself", "no file can exist at", in_place_of(SOURCE, link_to_itself)),
        Case("features: a link to itself", "no file can exist at", in_place_of(TARGET, link_to_itself)),
        Case("OHLCV: a name of 300 characters", "File name too long", flags("--duckdb", "x" * 300)),
        Case("features: in a missing folder", "no folder", flags("--feat-duckdb", "no/features.duckdb")),
        Case("OHLCV: locked", "is in use and stayed so", run, FAILED, meanwhile=lambda: held_by_another_process(Path(SOURCE))),
        Case("features: locked", "is in use and stayed so", run, FAILED, meanwhile=lambda: held_by_another_process(Path(TARGET))),
        Case("OHLCV: locked, for an import", "is in use and stayed so", imported(rows(f"2025-01-01,{SOUND}"), into=SOURCE), FAILED, meanwhile=lambda: held_by_another_process(Path(SOURCE))),
        Case("on a full disk, by an import", "could not be written; what was stored before is safe", imported(rows(*(f"{hour},{SOUND}" for hour in pd.date_range("2020", periods=5000, freq="h"))), into=SOURCE), meanwhile=lambda: no_room(64 * 1024)),
        Case("OHLCV: read-only, for an import", "cannot open", imported(rows(f"2024-01-01,{SOUND}"), into=SOURCE), meanwhile=lambda: not_to_be_written(SOURCE)),
        Case("features: read-only, for a run", "cannot open", run, meanwhile=lambda: not_to_be_written(TARGET)),
    ],
    "Stored tables with an unexpected schema": [
        Case("features: a column of another type, for a run", "column ts is VARCHAR instead of TIMESTAMP", target(*as_features("feature_key, CAST(ts AS VARCHAR) AS ts, features, created_at"))),
        Case("features: no primary key, for a run", "the primary key is () instead of (feature_key, ts)", target(*as_features("*"))),
        Case("features: a missing column, for a run", "column feature_key is missing", target(*as_features("ts, features, created_at"))),
        Case("features: a missing column, for last_from_features", "column feature_key is missing", target(*as_features("ts, features, created_at"), then=hours("--mode", "last_from_features"))),
        Case("features: a column of another type, for export", "column features is VARCHAR instead of JSON", target(*as_features("feature_key, ts, CAST(features AS VARCHAR) AS features, created_at"), then=export)),
        Case("features: timestamps with a time zone, for selftest", "instead of TIMESTAMP", target(*as_features("feature_key, ts AT TIME ZONE 'UTC' AS ts, features, created_at"), then=selftest)),
        Case("features: a view, for export", "has an unexpected schema", target("CREATE TABLE old AS FROM features", "DROP TABLE features", "CREATE VIEW features AS FROM old", then=export)),
        Case("bars: other columns", "table bars_4h", target("DROP TABLE bars_4h", "CREATE TABLE bars_4h AS SELECT 1 AS timestamp")),
    ],
    "Hours": [
        Case("--start that does not parse", "--start: not a timestamp: 'yesterday-ish'", hours("--start", "yesterday-ish")),
        Case("--start in an ambiguous date order", "--start: not a timestamp: '05/01/2025'", hours("--start", "05/01/2025")),
        Case("--start as an epoch number", "--start: not a timestamp: '1735689600000'", hours("--start", "1735689600000")),
        Case("--start with a time zone abbreviation", "--start: not a timestamp: '2025-01-20 08:00 EST'", hours("--start", "2025-01-20 08:00 EST")),
        Case("--start after --end", "is after the last hour asked for", hours("--start", str(LAST), "--end", str(FIRST))),
        Case("--ts that does not parse (the message lists every one)", "not a timestamp: 'x', 'y'", hours("--mode", "ts_list", "--ts", "x", str(LAST), "y")),
        Case("--ts-file: missing", "--ts-file nowhere.txt: No such file", hours("--mode", "ts_list", "--ts-file", "nowhere.txt")),
        Case("--ts-file: a folder", "Is a directory", hours("--mode", "ts_list", "--ts-file", ".")),
        Case("--ts-file: empty", "--mode ts_list needs hours", hours_file(b"\n\n")),
        Case("--ts-file: UTF-16", "is not UTF-8 text", hours_file(str(LAST).encode("utf-16"))),
        Case("--ts-file: 5000 bad lines", "and 4980 more", hours_file(b"bad\n" * 5000)),
        Case("--ts without --mode ts_list", "go with --mode ts_list", hours("--ts", str(LAST))),
        Case("--at-most that is not a number", "invalid int value: 'many'", hours("--at-most", "many")),
        Case("hours without a row", "no such hours in the table", hours("--start", "2024-01-01", "--end", "2024-01-02"), DONE),
        Case("hours in the future", "not closed yet", hours("--end", "9999-12-31"), DONE),
        Case("accepted: --at-most of 0 or less, which sets no limit", "compute 3 hours", flags("--dry-run", "--at-most", "-1"), DONE),
        Case("accepted: a time with an offset", "compute 1 hours", hours("--start", f"{LAST + 2 * HOUR}+02:00", "--end", str(LAST)), DONE),
        Case("accepted: --ts-file with a byte order mark", "compute 1 hours", hours_file(str(LAST).encode("utf-8-sig")), DONE),
    ],
    "Feature sets": [
        Case("--base-hours 0", "base_hours: Input should be greater than or equal to 1", flags("--base-hours", "0")),
        Case("--base-hours longer than a year", "base_hours: Input should be less than or equal to 8784", flags("--base-hours", "87600")),
        Case("--base-hours 1.5", "invalid int value: '1.5'", flags("--base-hours", "1.5")),
        Case("--buffer-hours -1", "buffer_hours: Input should be greater than or equal to 0", flags("--buffer-hours", "-1")),
        Case("--timeframes 5H", "timeframe '5H' does not divide a day; allowed are 1H, 2H", flags("--timeframes", "5H")),
        Case("--timeframes 15m", "timeframe '15m' does not divide a day", flags("--timeframes", "15m")),
        Case("--timeframes with a repeated timeframe", "timeframe given twice: 1D", flags("--timeframes", "24H", "1D")),
        Case("--timeframes without a value", "expected at least one argument", flags("--timeframes")),
        Case("--feature-key empty", "or contains unprintable characters", flags("--feature-key", "")),
        Case("--feature-key with a blank at its end", "begins or ends with a blank", flags("--feature-key", "short ")),
        Case("--feature-key blank", "or contains unprintable characters", flags("--feature-key", "  ")),
        Case("--feature-key with a line break", "or contains unprintable characters", flags("--feature-key", "a\nb")),
        Case("a key without rows, for export", "no features under the key x'; DROP TABLE features; --", exported("--feature-key", "x'; DROP TABLE features; --")),
        Case("a key without rows to compare with", "no rows of 'nobody'", lambda: selftest("--compare-key", "nobody")),
        Case("list: missing", "nowhere.json: No such file", flags("--feature-list", "nowhere.json")),
        Case("list: not JSON", "is not JSON", feature_list("[")),
        Case("list: not a list", "is not a JSON array of at least one feature name", feature_list("{}")),
        Case("list: empty", "is not a JSON array of at least one feature name", feature_list("[]")),
        Case("list: numbers instead of names", "is not a JSON array of at least one feature name", feature_list("[1, 2]")),
        Case("list: an unknown name", "'close_sma_21_1H' (closest: close_sma_20_1H)", feature_list('["close_sma_21_1H"]')),
        Case("list: a name in the wrong case", "'LOG_CLOSE_1h' (closest: log_close_1H)", feature_list('["LOG_CLOSE_1h"]')),
        Case("list: a repeated name", "repeats log_close_1H", feature_list('["log_close_1H", "log_close_1H"]')),
        Case("list: UTF-16", "is not JSON", feature_list(NAMES.encode("utf-16"))),
        Case("list: 100,000 nested brackets", "is not JSON", feature_list("[" * 100_000)),
        Case("accepted: a list with a byte order mark", "compute 3 hours", feature_list(NAMES.encode("utf-8-sig")), DONE),
    ],
    "Export": [
        Case("unknown columns", "no such feature under the key short", exported("--columns", "nothing")),
        Case("another file type", "call it .parquet", exported(file="out.csv")),
        Case("onto a database", "call it .parquet", exported(file=TARGET)),
        Case("into a missing folder", "cannot write no/out.parquet", exported(file="no/out.parquet")),
        Case("a file name of 300 characters", "File name too long", exported(file="x" * 300 + ".parquet")),
        Case("hours without rows", "no row of short", exported("--start", "2020-01-01", "--end", "2020-01-02")),
        Case("without a database", "name the database of the features", lambda: ["export", "out.parquet", "--feature-key", "short"]),
    ],
    "Fetch": [
        Case("a market that nobody has described", "no market btc in configs/, which has small", fetch("btc")),
        Case("--since that does not parse", "--since: not a timestamp: 'soon'", fetch("small", "--since", "soon")),
        Case("an exchange that ccxt does not know", "ccxt knows no exchange binanse (closest: binance", fetched("binanse", "BTC/USDT")),
        Case("an exchange that nobody answers for is a failure", "no connection", fetched("binance", "BTC/USDT"), FAILED, meanwhile=without_pauses),
        Case("accepted: a market whose table somebody else fills", "filled by somebody else: 0 rows new", fetch("small"), DONE),
    ],
    "YAML of a market": [
        Case("an unknown field", "base_hour: unknown field; allowed are key, base_hours", configured("base_hours", "base_hour")),
        Case("a missing field", "target_database: Field required", configured(f"target_database: ../{TARGET}\n", "")),
        Case("a repeated field", "field name appears twice", configured("name: small", "name: other\nname: small")),
        Case("a list instead of a mapping", "expected a mapping with the fields name, first_hour", described("- a\n")),
        Case("an empty file", "expected a mapping with the fields name, first_hour", described("")),
        Case("not YAML", "is not YAML", configured("feature_sets:", "feature_sets: [")),
        Case("two documents", "is not YAML", described(YAML + "---\n" + YAML)),
        Case("UTF-16", "is not YAML", described(YAML.encode("utf-16-be"))),
        Case("a tag that constructs Python objects", "could not determine a constructor for the tag", configured("name: small", "name: !!python/object/apply:os.mkdir [made]")),
        Case("a name that Dagster does not accept", "name: String should match pattern", configured("name: small", "name: btc-usdt")),
        Case("a database that is not a path", "target_database: None is not a path", configured(f"../{TARGET}", "null")),
        Case("an environment variable that is not set", "environment variable NOWHERE is not set", configured(f"../{TARGET}", "$NOWHERE/f.duckdb")),
        Case("a first hour off the hour", "is not on the hour", configured("2025-01-01", "2025-01-01T00:30")),
        Case("a first hour as a number", "first_hour: not a timestamp: '1735689600'", configured("2025-01-01", "1735689600")),
        Case("a first hour before 1973", "is before 1973", configured("2025-01-01", "0001-01-01")),
        Case("a first hour in a 13th month", "is not YAML: month must be in 1..12", configured("2025-01-01", "2025-13-01")),
        Case("base_hours as a word", "base_hours: Input should be a valid integer, got True", configured("base_hours: 48", "base_hours: yes")),
        Case("timeframes that are not a list", "timeframes: Input should be a valid list, got '1H'", configured("[1H, 4H]", "1H")),
        Case("timeframes that do not divide a day", "timeframe '5H' does not divide a day", configured("[1H, 4H]", "[5H]")),
        Case("keys that map to the same asset name", "map to the same asset name; rename all but one", configured("  - {key: short,", "  - {key: a.b}\n  - {key: a_b}\n  - {key: short,")),
        Case("a missing feature list", "nowhere.json: No such file", configured("key: short,", "key: short, feature_list: nowhere.json,")),
        Case("a schedule out of range", "schedule.minute: Input should be less than or equal to 59", configured("name: small", "schedule: {minute: 75}\nname: small")),
        Case("an owner that Dagster does not accept", "owners.0: String should match pattern", configured("name: small", "owners: [me@home]\nname: small")),
        Case("a known gap that ends before it begins", "known_gaps.0: the first hour 2025-01-02 00:00:00 is after the last", configured("name: small", "known_gaps: [{first: 2025-01-02, last: 2025-01-01, note: outage}]\nname: small")),
        Case("a known gap without a note", "known_gaps.0.note: String should have at least 1 character", configured("name: small", "known_gaps: [{first: 2025-01-02, last: 2025-01-02, note: ' '}]\nname: small")),
        Case("a known gap off the hour", "known_gaps.0.last: 2025-01-02T00:30 is not on the hour", configured("name: small", "known_gaps: [{first: 2025-01-02, last: 2025-01-02T00:30, note: outage}]\nname: small")),
        Case("an hour in two known gaps", "known_gaps: two of them hold the hour 2025-01-02", configured("name: small", "known_gaps: [{first: 2025-01-01, last: 2025-01-02, note: a}, {first: 2025-01-02, last: 2025-01-03, note: b}]\nname: small")),
        Case("a link that is a script", "links.chart: String should match pattern", configured("name: small", "links: {chart: 'javascript:alert(1)'}\nname: small")),
        Case("an exchange without a symbol", "source.symbol: Field required", configured(f"table: {TABLE}", f"table: {TABLE}, exchange: binance")),
        Case("an exchange and a folder", "a market has either an exchange or a folder; remove one of the two", configured(f"table: {TABLE}", f"table: {TABLE}, exchange: binance, symbol: BTC/USDT, folder: ..")),
        Case("a feature key that no market has", "have the feature key 'short'", configured("key: short", "key: other")),
        Case("flags that contradict the YAML", "--base-hours differs from what configs/ says", lambda: [*described(YAML)(), *WHERE, "--base-hours", "72"]),
        Case("another file that names the same market", "use the same market name", twice),
        Case("accepted: a file name that ends in .yml", "compute 3 hours", described(YAML, "small.yml"), DONE),
    ],
    "report": [
        Case("an unknown market", "no market nobody in configs/, which has small", report(market="nobody")),
        Case("an unknown feature key", "market small has no feature set 'other'; it has short", report("--feature-key", "other")),
        Case("no days", "--days 0: give at least 1", report("--days", "0")),
        Case("days that are no number", "argument --days: invalid int value: 'all'", report("--days", "all")),
        Case("a misspelt feature", "no such feature under the key short: close_rsi14_4H; did you mean close_rsi_14_4H", report("--features", "close_rsi14_4H")),
        Case("a pattern that no feature has", "no such feature under the key short: nothing_*", report("--features", "nothing_*")),
        Case("too many features", "features are too many under one chart; choose at most 12", report("--features", "close_*")),
        Case("a file in a folder that does not exist", "for the report; create it or correct --out", report("--out", "nosuch/report.html")),
        Case("a file that is a folder", "Is a directory", report("--out", "configs")),
        Case("a feature key without rows", "nothing is stored under another", report(yaml=YAML.replace("key: short", "key: another"))),
    ],
    "alerts.yaml": [
        Case("an address that Apprise does not know", "targets.a: Apprise takes no such address that begins with nosuch://", alerts("{name: a, url: 'nosuch://x'}")),
        Case("a variable that is not set", "targets.0.url: environment variable NOT_SET is not set", alerts("{name: a, url: 'json://${NOT_SET}/'}")),
        Case("an address that is no text", "targets.0.url: an address is text", alerts("{name: a, url: [x]}")),
        Case("an unknown field", "targets.0.for: unknown field; allowed are name, url, markets", alerts("{name: a, url: print, for: all}")),
        Case("no target", "targets: give a list of at least one target", alerts_file("targets: []")),
        Case("targets that are no list", "targets: give a list of at least one target", alerts_file("targets: all")),
        Case("hours that are no number", "hours_without_row: give a whole number of hours from 1 on, or null", alerts_file("targets: [{name: a, url: print}]\nhours_without_row: three")),
        Case("no address", "targets.0.url: Field required", alerts("{name: a}")),
        Case("two targets of one name", "targets: the name a appears twice", alerts("{name: a, url: print}\n  - {name: a, url: print}")),
        Case("an unknown market", "targets.a: no market smal", alerts("{name: a, url: print, markets: [smal]}")),
        Case("no YAML; nothing of it is quoted, as it holds secrets", "alerts.yaml is not YAML, in line", alerts("{name: a, url: x")),
    ],
}

BAD_ROWS = [
    BadRow("a missing row", f"DELETE FROM {TABLE} WHERE timestamp = $hour", "after a gap: OHLCV lacks"),
    BadRow("NaN", f"UPDATE {TABLE} SET close = 'NaN' WHERE timestamp = $hour", "close is not a number"),
    BadRow("NULL", f"UPDATE {TABLE} SET volume = NULL WHERE timestamp = $hour", "volume is not a number"),
    BadRow("infinity", f"UPDATE {TABLE} SET high = 'Infinity' WHERE timestamp = $hour", "high is infinite"),
    BadRow("a price of zero", f"UPDATE {TABLE} SET low = 0 WHERE timestamp = $hour", "low is not positive"),
    BadRow("a negative price", f"UPDATE {TABLE} SET open = -open WHERE timestamp = $hour", "open is not positive"),
    BadRow("high below low", f"UPDATE {TABLE} SET high = low - 1 WHERE timestamp = $hour", "high below low"),
    BadRow("open outside the range", f"UPDATE {TABLE} SET open = high + 1 WHERE timestamp = $hour", "open outside low..high"),
    BadRow("close outside the range", f"UPDATE {TABLE} SET close = low - 1 WHERE timestamp = $hour", "close outside low..high"),
    BadRow("a negative volume", f"UPDATE {TABLE} SET volume = -1 WHERE timestamp = $hour", "volume is negative"),
    BadRow("unequal rows for one hour", f"INSERT INTO {TABLE} SELECT * REPLACE (volume + 1 AS volume) FROM {TABLE} WHERE timestamp = $hour", "rows of this hour disagree"),
    BadRow("a timestamp off the hour", f"INSERT INTO {TABLE} SELECT * REPLACE (timestamp - INTERVAL 30 MINUTE AS timestamp) FROM {TABLE} WHERE timestamp = $hour", "off the hour"),
    BadRow("accepted: equal rows", f"INSERT INTO {TABLE} FROM {TABLE} WHERE timestamp = $hour", None),
]
# fmt: on

DOC = Path(__file__).parents[1] / "docs" / "bad-input.md"


def table() -> str:
    """The cases in Markdown."""
    lines = [
        "## OHLCV rows in a table",
        "",
        "| input | the 24 hours that look back on it, in a run with 24 base hours |",
        "|---|---|",
    ]
    lines += [f"| {row.what} | {f'skipped: {row.reason}' if row.reason else 'computed'} |" for row in BAD_ROWS]
    lines.append("")
    for section, cases in CASES.items():
        lines += [f"## {section}", "", "| input | message | exit code |", "|---|---|---|"]
        for case in cases:
            what, message = (text.replace("|", "\\|").replace("\n", " ") for text in (case.what, case.message))
            lines.append(f"| {what} | {message} | {case.code} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    introduction, _, _ = DOC.read_text().partition("\n## ")
    DOC.write_text(f"{introduction}\n{table()}")

"""`feature-backfill import-ohlcv`: files of hourly bars into a DuckDB table."""

import argparse

from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.commands.shared.instance import dagster_instance, has_home
from feature_backfill.commands.shared.market import market_of_table
from feature_backfill.sources.files import import_files


def execute(options: argparse.Namespace) -> int:
    """Import, say what became of the rows, and report the hours to Dagster if it has a home.

    Rows are useful without Dagster, so none is made for them. The sensor of the market's OHLCV reports the hours of
    every table, whoever filled it.
    """
    report = import_files(options.files, options.duckdb, options.table)
    print(
        f"{options.table} of {options.duckdb}: {report.new} rows new, {report.changed} changed, {report.same} the same"
    )
    if report.left_empty:
        print(f"further columns, left NULL in the new rows: {', '.join(report.left_empty)}")
    for reason, count in report.refused.items():
        print(f"refused {count}, {reason} (first: {report.examples[reason]})")
    if len(report.hours) and has_home():
        with dagster_instance(records_runs=False) as instance:
            report_ohlcv(instance, market_of_table(options.duckdb, options.table), report.hours)
    return 0

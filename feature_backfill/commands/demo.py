"""`feature-backfill demo`: a synthetic market, imported, backfilled through Dagster, summed up.

With --live it is another demo: see demo_live.py.
"""

import argparse
import shlex
import shutil
import sys
from pathlib import Path

import pandas as pd

from feature_backfill.assets.decisions import plan_of
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.commands import demo_live
from feature_backfill.commands.shared.backfill import backfill, summary
from feature_backfill.commands.shared.defaults import LOCAL_HOME
from feature_backfill.commands.shared.instance import local_instance, shipped_config
from feature_backfill.config import Market, load_market
from feature_backfill.errors import UserError
from feature_backfill.hours import hour_range
from feature_backfill.paths import absolute
from feature_backfill.planning.ranges import ranges_of_command
from feature_backfill.planning.wording import skip_lines
from feature_backfill.sources.files import import_files
from feature_backfill.sources.synthetic import drop_hours, synthetic_ohlcv

HOURS = 4320
GAP_AT, GAP_HOURS = 0.6, 7
MARKET = Path(__file__).with_suffix(".yaml")
FEATURE_LIST = "feature_lists/binance_btcusdt_p60_default.json"


def execute(options: argparse.Namespace) -> int:
    """Make, import, backfill and sum up. Everything goes into the one folder; running it again computes nothing."""
    _refuse_contradictions(options)
    folder = absolute(options.folder or Path("demo_live" if options.live else "demo"))
    try:
        (folder / "configs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--folder {folder} cannot hold the demo: {error.strerror}; name another one") from error
    if options.live:
        return demo_live.execute(folder, options.live_hours)
    return _history(folder, HOURS if options.hours is None else options.hours)


def _refuse_contradictions(options: argparse.Namespace) -> None:
    if options.live and options.hours is not None:
        raise UserError("--hours is for the demo without --live; leave it out, or use --live-hours")
    if options.live_hours is not None and not options.live:
        raise UserError("--live-hours is for the demo with --live; add it")


def _history(folder: Path, hours: int) -> int:
    market = _configured(folder)
    if hours < 2 * market.lookback.hours:
        raise UserError(f"--hours {hours} is too few: a row needs {market.lookback.hours}, take at least twice that")
    _import_synthetic(market, hours)
    with local_instance(folder / LOCAL_HOME) as instance:
        every = hour_range(market.first_hour, market.first_hour + pd.Timedelta(hours=hours - 1))
        report_ohlcv(instance, market, every)
        for feature_set in market.feature_sets:
            plan = plan_of(market, feature_set, every)
            done = backfill(instance, market, feature_set, ranges_of_command(plan, listed=False))
            print(summary(feature_set, plan, done))
            print("\n".join(skip_lines(plan.skipped)))
    print(f"\nOHLCV:    {market.source.database}, table {market.source.table}")
    print(f"features: {market.target}, tables features, bars_4h, bars_12h, bars_1d")
    home, dagster = (
        shlex.quote(str(path)) for path in (folder / LOCAL_HOME, Path(sys.executable).with_name("dagster"))
    )
    print(f"\nOpen Dagster's UI on them, then http://localhost:3000:\n  cd {shlex.quote(str(folder))}")
    print(f"  DAGSTER_HOME={home} {dagster} dev -m feature_backfill.definitions")
    return 0


def _configured(folder: Path) -> Market:
    """The demo's market, described in the folder's configs/, which is filled with what lacks there."""
    configs = folder / "configs"
    for source, target in ((MARKET, configs / MARKET.name), (shipped_config(FEATURE_LIST), configs / FEATURE_LIST)):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return load_market(configs / MARKET.name)


def _import_synthetic(market: Market, hours: int) -> None:
    """Write the market to a file, gap included, and import that."""
    ohlcv = synthetic_ohlcv(market.first_hour, hours, seed=7)
    gap = market.first_hour + pd.Timedelta(hours=int(hours * GAP_AT))
    file = market.source.database.with_name("ohlcv.csv")
    drop_hours(ohlcv, gap, GAP_HOURS).to_csv(file, index=False)
    report = import_files([file], market.source.database, market.source.table)
    print(f"synthetic market: {report.new} hours new, {report.same} known, a gap of {GAP_HOURS} hours at {gap}")

"""The asset of a market's reports: an HTML file for each feature set, beside the target database."""

from collections.abc import Callable, Iterable
from pathlib import Path

import dagster as dg
import numpy as np
from pydantic import Field

from feature_backfill.assets.decisions import standing_of
from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.assets.names import features_key, market_metadata, ohlcv_key, report_key
from feature_backfill.config import FeatureSet, Lake, Market
from feature_backfill.errors import UserError
from feature_backfill.reports.contents import DAYS, Checked, Choice, Contents, contents_of
from feature_backfill.reports.coverage import COLOURS, STATES
from feature_backfill.reports.drawings import overview
from feature_backfill.reports.drift import DRIFTED

FOLDER = "reports"
PICTURED_DAYS = 30

Look = Callable[[Market, FeatureSet], Iterable[Checked]]


class ReportConfig(dg.Config):
    """What the reports show."""

    days: int = Field(default=DAYS, ge=1, description="How many days of candles.")
    features: list[str] = Field(
        default=[], description="Features to draw under the candles, also as close_rsi_*. None: four usual ones."
    )


def report_file(market: Market, feature_set: FeatureSet) -> Path:
    """Where the job writes the report of a feature set."""
    return _folder(market) / f"{market.name}__{feature_set.slug}.html"


def report_asset(market: Market, look_at: Look) -> dg.AssetsDefinition:
    """The reports of a market. look_at: makes the checks of a feature set."""
    keys = [ohlcv_key(market), *(features_key(market, feature_set) for feature_set in market.feature_sets)]

    spec = dg.AssetSpec(
        report_key(market),
        deps=keys,
        description=(
            f"An HTML file for each feature set of {market.name}: candles and features, coverage, drift, checks. The "
            f"job {market.name}__report writes it. The newest materialization says where it is and pictures the last "
            f"{PICTURED_DAYS} days: the closing prices, and below them what became of the hours of each day."
        ),
        group_name=market.name,
        kinds={"html"},
        owners=list(market.owners),
        metadata={"folder": dg.MetadataValue.path(str(_folder(market))), **market_metadata(market)},
    )

    # Not @asset, whose op would have the name of the job.
    @dg.multi_asset(name=f"{market.name}__report_op", specs=[spec])
    def report(context: dg.AssetExecutionContext, config: ReportConfig) -> dg.MaterializeResult[None]:
        choice = Choice(config.days, config.features)
        metadata: dict[str, dg.MetadataValue] = {}
        with user_errors_fail_the_step():
            for feature_set in market.feature_sets:
                if standing_of(market, feature_set) is None:
                    context.log.warning(f"{feature_set.key}: no report, because nothing is stored under this key")
                    continue
                contents = contents_of(market, feature_set, choice, look_at(market, feature_set))
                file = report_file(market, feature_set)
                _write(contents, file)
                found = _metadata(contents, file)
                metadata |= {f"{feature_set.slug}/{title}": value for title, value in found.items()}
            if not metadata:
                raise UserError(f"nothing is stored under any key of {market.name}; materialize some hours first")
        return dg.MaterializeResult(metadata=metadata)

    return report


def _folder(market: Market) -> Path:
    beside = market.source.database if isinstance(market.target, Lake) else market.target
    return beside.parent / FOLDER


def _write(contents: Contents, file: Path) -> None:
    from feature_backfill.reports.page import page_of, write_page  # plotly, which not everybody has installed

    write_page(page_of(contents), file)


def _metadata(contents: Contents, file: Path) -> dict[str, dg.MetadataValue]:
    failed = sum(not result.passed for _, result in contents.checks)
    return {
        "report": dg.MetadataValue.path(str(file)),
        "overview": dg.MetadataValue.md(_picture(contents)),
        "hours_behind": dg.MetadataValue.int(contents.standing.hours_behind),
        "features_drifted": dg.MetadataValue.int(sum(line.drift.excess > DRIFTED for line in contents.lines)),
        "checks_not_passed": dg.MetadataValue.int(failed),
        "megabytes": dg.MetadataValue.float(round(file.stat().st_size / 1e6, 2)),
    }


def _picture(contents: Contents) -> str:
    """Of each of the last days: the last closing price, and the worst state of its hours."""
    days = contents.coverage.worst(24).iloc[-PICTURED_DAYS:]
    closes = contents.closes.reindex(days.index).to_numpy(np.float64)
    return overview(closes, [COLOURS[STATES[state]] for state in days["state"]])

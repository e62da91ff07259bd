"""The assets that carry the checks of a market, and the steps that make the checks.

A check looks at all hours of an asset at once. It is attached to an asset of its own, `<market>/ohlcv_checks` or
`<market>/features/<key>_checks`, which has no partitions and stands beside the hourly asset. On the hourly asset itself
a check would do harm (dagster 1.13.27), whether or not it has partitions:

* A run that the UI, `dagster asset materialize` or an asset backfill starts also executes the checks of its assets;
  only a job can leave them out. A check without a computation, whose results are only reported, cannot be defined.
* The run plans each check once for every hour of its range. For 20,000 hours and one check this takes 11 s and 44 MB of
  SQLite. Beyond 31,250 hours the run cannot be created at all. Where SQLite allows 32,766 parameters, the limit is
  4,095 hours.
* The UI shows the result of a check only until the asset is materialized again, which happens every hour.

All checks of an asset are one step. It makes every check, records every result, materializes the asset that carries
them with their numbers, and fails if a check with severity ERROR did not pass: such a run must not read as green. No
check is blocking, because rows that cannot be computed soundly are never stored.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import dagster as dg
from pydantic import Field

from feature_backfill.assets.failures import joined_reasons, user_errors_fail_the_step
from feature_backfill.assets.names import asset_link, checks_key, features_key, ohlcv_key
from feature_backfill.checks.market import OHLCV_CHECKS, features_checks, new_seed
from feature_backfill.checks.parity import parity, sample_size
from feature_backfill.config import FeatureSet, Market
from feature_backfill.errors import RunError, UserError

NOT_MEASURED = {"seed"}
"""Numbers in the metadata of a check that say nothing about the data."""

Look = Callable[[], dg.AssetCheckResult]
Made = dg.AssetCheckResult | dg.AssetMaterialization


class ParityConfig(dg.Config):
    """Which rows the parity check recomputes."""

    seed: int | None = Field(default=None, ge=0, lt=2**63, description="Seed of a sample to repeat. None: a new seed.")
    hours: int | None = Field(default=None, ge=1, description="How many rows. None: as many as take about 2 s.")


def checks_assets(market: Market) -> list[dg.AssetSpec]:
    """The assets that carry the checks of a market."""
    keys = [ohlcv_key(market), *(features_key(market, feature_set) for feature_set in market.feature_sets)]
    return [
        dg.AssetSpec(
            checks_key(key),
            deps=[key],
            description=(
                f"The checks of {asset_link(key, 'overview')}, each of which looks at all hours. The tab Checks has "
                "the last result of each. Plots, beside Metadata, shows the numbers that they found from run to run."
            ),
            group_name=market.name,
            owners=list(market.owners),
            metadata={"checked": dg.MetadataValue.asset(key)},
        )
        for key in keys
    ]


def market_checks(market: Market) -> list[dg.AssetChecksDefinition]:
    """The checks of a market's OHLCV and feature sets: a step for each asset."""
    return [_ohlcv_checks(market), *(_features_checks(market, feature_set) for feature_set in market.feature_sets)]


def _ohlcv_checks(market: Market) -> dg.AssetChecksDefinition:
    key = checks_key(ohlcv_key(market))
    looks = {look.__name__: partial(look, market) for look in OHLCV_CHECKS}

    @dg.multi_asset_check(
        name=key.to_python_identifier(),
        specs=[_spec(key, look) for look in OHLCV_CHECKS],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[Made]:
        yield from _made(context, key, looks)

    return checks


def _features_checks(market: Market, feature_set: FeatureSet) -> dg.AssetChecksDefinition:
    checked = features_key(market, feature_set)
    key = checks_key(checked)

    @dg.multi_asset_check(
        name=key.to_python_identifier(),
        specs=[*(_spec(key, look) for look in features_checks(market)), _spec(key, parity)],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext, config: ParityConfig) -> Iterator[Made]:
        seed = new_seed() if config.seed is None else config.seed
        looks = {look.__name__: partial(look, market, feature_set) for look in features_checks(market)}
        looks[parity.__name__] = partial(parity, market, feature_set, config.hours or sample_size(feature_set), seed)
        yield from _made(context, key, looks, _speed(context.instance, checked))

    return checks


def _spec(key: dg.AssetKey, look: Callable[..., dg.AssetCheckResult]) -> dg.AssetCheckSpec:
    description = (look.__doc__ or "").partition("\n")[0]
    return dg.AssetCheckSpec(look.__name__, asset=key, description=description)


def _made(
    context: dg.AssetCheckExecutionContext,
    key: dg.AssetKey,
    looks: Mapping[str, Look],
    more_numbers: Mapping[str, dg.MetadataValue] | None = None,
) -> Iterator[Made]:
    """The results of the selected checks, and a materialization of the asset that carries them if those are all.

    more_numbers: for the materialization, besides those of the results.

    After a materialization by some of the checks, the UI would show the others as not evaluated.

    Raises Failure at the end if a check found an error or could not look. The message names those checks, and why.
    """
    selected = {check.name for check in context.selected_asset_check_keys}
    results: dict[str, dg.AssetCheckResult] = {}
    wrong: dict[str, str] = {}
    for name in [name for name in looks if name in selected]:
        try:
            results[name] = looks[name]()
        except (UserError, RunError) as error:
            wrong[name] = str(error)
            continue
        except Exception as error:  # a bug in one check must not hide what the others find
            context.log.exception(f"{name} broke")
            wrong[name] = repr(error)
            continue
        if _is_error(results[name]):
            wrong[name] = results[name].description or ""
        yield results[name]._replace(check_name=name, asset_key=key)
    if len(selected) == len(looks):
        yield dg.AssetMaterialization(key, metadata=_numbers(results, errors=len(wrong)) | dict(more_numbers or {}))
    if wrong:
        with user_errors_fail_the_step():
            raise UserError(joined_reasons(wrong))


def _speed(instance: dg.DagsterInstance, features: dg.AssetKey) -> dict[str, dg.MetadataValue]:
    """How many hours a second the last run of features computed, if Dagster knows of one that computed any."""
    event = instance.get_latest_materialization_event(features)
    made = None if event is None else event.asset_materialization
    speed = None if made is None else made.metadata.get("hours_per_second")
    return {} if speed is None or not speed.value else {"last_run/hours_per_second": speed}


def _is_error(result: dg.AssetCheckResult) -> bool:
    return not result.passed and result.severity is dg.AssetCheckSeverity.ERROR


def _numbers(results: Mapping[str, dg.AssetCheckResult], errors: int) -> dict[str, dg.MetadataValue]:
    """How many checks failed the run or gave a warning, and each number that a check found, under the check's name."""
    warnings = sum(not result.passed and not _is_error(result) for result in results.values())
    return {
        "errors": dg.MetadataValue.int(errors),
        "warnings": dg.MetadataValue.int(warnings),
        **{
            f"{name}/{title}": value
            for name, result in results.items()
            for title, value in result.metadata.items()
            if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) and title not in NOT_MEASURED
        },
    }

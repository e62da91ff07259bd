"""What the sensor of alerts looks at: runs that ended, the checks they made, restated OHLCV, stored rows, YAMLs."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg
import duckdb
import pandas as pd

from feature_backfill.alerts.changes import Finding, Kind, State
from feature_backfill.alerts.outbox import Memory
from feature_backfill.assets.broken import ShownAsBroken
from feature_backfill.assets.failures import reasons_besides
from feature_backfill.assets.joining import require_joinable
from feature_backfill.assets.lateness import why_late
from feature_backfill.assets.names import ohlcv_key
from feature_backfill.automation.changes import digest, target_state
from feature_backfill.automation.runs import NEW_HOURS, ended_at, hours_by_job
from feature_backfill.config import Market
from feature_backfill.dagster_internals.run_records import check_results, failure_reason, is_retried, step_failures
from feature_backfill.dagster_internals.versions import newest_event
from feature_backfill.errors import RunError, UserError, counted
from feature_backfill.hours import contiguous_runs, hours_of, last_closed_hour, stretch
from feature_backfill.planning.standing import hours_between, rows_ahead, split_at
from feature_backfill.store.database import connect
from feature_backfill.store.features import last_stored_hour, stored_hours
from feature_backfill.store.ohlcv import ohlcv_extent
from feature_backfill.store.targets import exists

FIRST_LOOK_BACK = pd.Timedelta(days=7)
OVERLAP = pd.Timedelta(minutes=2)
"""So far before the newest run that was seen others may turn up: Dagster may store the end of one later."""

MOST_RUNS = 1000
MOST_HOURS = 1000
PATIENCE_S = 1.0
FRESHNESS = "freshness"
"""The check that is not told: that rows fail to appear is told by itself, without waiting for the hourly checks."""

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


@dataclass
class Rows:
    """What the target database of a market was last seen to hold, which holds as long as its state is the same.

    newest: of each feature key the newest stored hour that had closed, if there is one, and all later ones, ascending.
    refused: why rows of a key would not fit to it, None where they do.
    """

    state: str = ""
    newest: dict[str, pd.DatetimeIndex] = field(default_factory=dict)
    refused: dict[str, str | None] = field(default_factory=dict)


def findings(
    instance: dg.DagsterInstance,
    markets: Sequence[Market],
    broken: Sequence[ShownAsBroken],
    hours_without_row: int | None,
    memory: Memory,
    rows: dict[str, Rows],
    now: pd.Timestamp,
) -> tuple[list[Finding], list[str]]:
    """How everything stands that can be told of now (UTC-naive), and what could not be looked at.

    memory: its position in Dagster's log is moved. rows: of each market by name, brought up to date.
    """
    found, problems = list(_configurations(markets, broken)), []
    for market in markets:
        try:
            seen = _seen_rows(market, rows.get(market.name, Rows()), now)
            rows[market.name] = seen
        except (UserError, RunError) as error:
            problems.append(f"{market.name}: {error}")
            seen = rows.get(market.name, Rows())
        found += _rows(market, seen, hours_without_row, memory, now)
    found += _restated(instance, markets, memory)
    refused = {reason for seen in rows.values() for reason in seen.refused.values() if reason}
    found += _runs(instance, markets, memory, refused, now)
    return found, problems


def _configurations(markets: Iterable[Market], broken: Iterable[ShownAsBroken]) -> Iterator[Finding]:
    """Whether the YAML of each market can be used."""
    for market in markets:
        yield Finding(market.name, Kind.CONFIGURATION, "its YAML", State.GOOD)
    for shown in broken:
        yield Finding(shown.group, Kind.CONFIGURATION, "its YAML", State.BAD, shown.broken.error)


def _seen_rows(market: Market, before: Rows, now: pd.Timestamp) -> Rows:
    """Look into the target database, if it or the configuration has changed."""
    state = digest(target_state(market.target), market.model_dump_json())
    if state == before.state or not exists(market.target):
        return before
    with connect(market.target, read_only=True, patience=PATIENCE_S) as connection:
        newest = {each.key: _newest(connection, each.key, last_closed_hour(now)) for each in market.feature_sets}
    return Rows(state, newest, {each.key: _refused(market, each.key) for each in market.feature_sets})


def _newest(connection: duckdb.DuckDBPyConnection, key: str, closed: pd.Timestamp) -> pd.DatetimeIndex:
    return stored_hours(connection, key, start=last_stored_hour(connection, key, closed))


def _refused(market: Market, key: str) -> str | None:
    try:
        require_joinable(market, market.feature_set(key))
    except UserError as error:
        return str(error)
    return None


def _rows(
    market: Market, seen: Rows, hours_without_row: int | None, memory: Memory, now: pd.Timestamp
) -> Iterator[Finding]:
    """Whether rows of a feature set keep coming, and whether they may. Nothing is said of a set without any row."""
    closed = last_closed_hour(now)
    for key, newest in seen.newest.items():
        known, ahead = split_at(newest, closed)
        if known.empty or hours_without_row is None:
            continue
        behind = hours_between(known[-1], closed)
        details = f"the newest row is {known[-1]:%Y-%m-%d %H:%M}, {counted(behind, 'hour')} behind the last closed hour"
        finding = Finding(market.name, Kind.ROW, key, State.GOOD, details)
        if behind >= hours_without_row:
            told = memory.standing.get(finding.place) is State.BAD
            causes = [] if told else [*_why_late(market, key, known[-1], closed), rows_ahead(ahead)]
            details = "; ".join(filter(None, [details, *causes]))
            finding = replace(finding, state=State.BAD, details=details)
        yield finding
    for key, reason in seen.refused.items():
        state = State.GOOD if reason is None else State.BAD
        yield Finding(market.name, Kind.CONTRACT, f"the contract of {key}", state, reason or "")


def _why_late(market: Market, key: str, newest: pd.Timestamp, closed: pd.Timestamp) -> list[str]:
    """Whose fault it is that rows are late, as far as the databases can be looked at now."""
    try:
        with connect(market.source.database, read_only=True, patience=PATIENCE_S) as connection:
            extent = ohlcv_extent(connection, market.source.table, end=closed)
        if extent is None:
            return [f"{market.source.table} has no closed hour; check what fills it"]
        return why_late(market, market.feature_set(key), newest, extent[1], closed, allowed=0)
    except (UserError, RunError) as error:
        return [str(error)]


def _restated(instance: dg.DagsterInstance, markets: Iterable[Market], memory: Memory) -> Iterator[Finding]:
    """OHLCV hours whose rows got other values since the last look."""
    before, memory.event = memory.event, newest_event(instance)
    if before is None or before == memory.event:
        return
    for market in markets:
        newer = dg.AssetRecordsFilter(asset_key=ohlcv_key(market), after_storage_id=before)
        records = instance.fetch_observations(newer, limit=MOST_HOURS).records
        hours = hours_of(
            record.partition_key
            for record in records
            if record.partition_key and record.asset_observation and "corrected" in record.asset_observation.metadata
        ).unique()
        if len(hours):
            newest = stretch(*contiguous_runs(hours)[-1])
            details = f"{newest} has other values than before"
            if len(contiguous_runs(hours)) > 1:
                more = "at least " if len(records) == MOST_HOURS else ""
                details = f"{more}{len(hours)} hours have other values than before, the newest {newest}"
            yield Finding(market.name, Kind.RESTATED, "OHLCV", State.NEWS, details)


def _runs(
    instance: dg.DagsterInstance,
    markets: Sequence[Market],
    memory: Memory,
    refused: set[str],
    now: pd.Timestamp,
) -> Iterator[Finding]:
    """How the newest run of each job ended, and what the checks of the runs found, oldest first."""
    newest: dict[tuple[str, str], dg.DagsterRun] = {}
    for run in _ended_runs(instance, memory, now):
        for market in [] if is_retried(run) else _markets_of(run, markets):
            found = list(_checks(instance, market, run)) if _makes_checks(run, market) else []
            yield from (finding for finding in found if not finding.about.startswith(f"{FRESHNESS} "))
            if not any(finding.state is State.BAD for finding in found):  # else the checks say why it failed
                newest[market.name, _job(run)] = run
    for (name, job), run in newest.items():
        failed = run.status is dg.DagsterRunStatus.FAILURE
        reason = failure_reason(instance, run.run_id) if failed else ""
        failed = failed and (run.job_name != NEW_HOURS or _names(reason, name))
        if reason not in refused:  # which is told already
            yield Finding(name, Kind.RUN, f"the run of {job}", State.BAD if failed else State.GOOD, reason)


def _ended_runs(instance: dg.DagsterInstance, memory: Memory, now: pd.Timestamp) -> list[dg.DagsterRun]:
    """The runs that have ended since the last look, in the order in which they ended."""
    since = pd.Timestamp(memory.until) - OVERLAP if memory.until else now - FIRST_LOOK_BACK
    filters = dg.RunsFilter(statuses=_ENDED, updated_after=since.floor("us").tz_localize("UTC").to_pydatetime())
    records = [record for record in instance.get_run_records(filters, limit=MOST_RUNS) if ended_at(record) >= since]
    records.sort(key=ended_at)
    seen = set(memory.runs)
    memory.runs = [record.dagster_run.run_id for record in records]
    memory.until = ended_at(records[-1]).isoformat() if records else memory.until or now.isoformat()
    return [record.dagster_run for record in records if record.dagster_run.run_id not in seen]


def _markets_of(run: dg.DagsterRun, markets: Iterable[Market]) -> list[Market]:
    """The markets that a run is of: its job's, those of the assets or checks that it selects, those that share it."""
    selected = {key.path[0] for key in run.asset_selection or ()}
    selected |= {check.asset_key.path[0] for check in run.asset_check_selection or ()}
    jobs = {run.job_name, *hours_by_job(run)}
    return [market for market in markets if market.name in selected or jobs & market.job_names]


def _names(reason: str, market: str) -> bool:
    """Whether a shared run failed on a market, which its message then names."""
    return re.search(rf"(?<!\w){market}: ", reason) is not None


def _job(run: dg.DagsterRun) -> str:
    """What a run is called: its job or, of Dagster's job for any assets, the assets that it was asked for."""
    if not run.job_name.startswith("__"):
        return run.job_name
    assets = {key.to_user_string() for key in run.asset_selection or ()}
    assets |= {check.asset_key.to_user_string() for check in run.asset_check_selection or ()}
    return ", ".join(sorted(assets))


def _makes_checks(run: dg.DagsterRun, market: Market) -> bool:
    return run.job_name == f"{market.name}__checks" or bool(run.asset_check_selection)


def _checks(instance: dg.DagsterInstance, market: Market, run: dg.DagsterRun) -> Iterator[Finding]:
    """How each check of a run came out. One that could not be made is as bad as one that found an error."""
    results, failures = check_results(instance, run.run_id), step_failures(instance, run.run_id)
    told = {" ".join((result.description or "").split()) for result in results.values() if result}
    for key, result in results.items():
        about = f"{key.name} of {'/'.join(key.asset_key.path[1:])}".removesuffix("_checks")
        if result is None:
            why = reasons_besides(failures.get(key.asset_key.to_python_identifier(), ""), told)
            details = f"could not be made: {why or 'see the run of the checks'}"
            yield Finding(market.name, Kind.CHECK, about, State.BAD, details)
        elif result.passed:
            yield Finding(market.name, Kind.CHECK, about, State.GOOD)
        else:
            error = result.severity is dg.AssetCheckSeverity.ERROR
            yield Finding(
                market.name, Kind.CHECK, about, State.BAD if error else State.WARNING, result.description or ""
            )

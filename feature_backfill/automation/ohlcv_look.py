"""What the sensor `ohlcv` does at one market: shows the hours of its table, asks for imports and for fetches."""

import time

import dagster as dg
from pydantic import BaseModel

from feature_backfill.assets.ohlcv import News, ohlcv_news, report_news
from feature_backfill.automation.changes import KnownFiles, database_state, digest
from feature_backfill.automation.fetching import fetch_job_name, next_fetch
from feature_backfill.automation.imports import FILES_TAG, import_job_name, next_import
from feature_backfill.automation.runs import Runs
from feature_backfill.config import ExchangeSource, Market
from feature_backfill.errors import RunError, UserError
from feature_backfill.hours import last_closed_hour, partition_key, utc_now

REPORTED_AT_A_TIME = 1000
REPORTING_S = 15.0
"""How long a tick may spend on reporting the OHLCV hours of a market. An hour takes 10 ms if it is not batched."""

NOTHING_CHANGED = "nothing changed"


class OhlcvCursor(BaseModel):
    """What a tick leaves for the next one.

    files: those of the folder, in the state in which each was last imported.
    reported: a digest of the state of the database when every one of its hours had been reported.
    """

    files: KnownFiles = KnownFiles()
    reported: str = ""


def look_at_ohlcv(runs: Runs, market: Market, cursor: OhlcvCursor) -> tuple[list[dg.RunRequest], str]:
    """The runs to request, and what there is to say. Updates the cursor."""
    messages: list[str] = []
    requests: list[dg.RunRequest] = []
    if market.source.folder is not None:
        requests += _imports(runs, market, cursor, messages)
    if isinstance(market.source, ExchangeSource):
        requests += _fetches(runs, market, messages)
    state = digest(database_state(market.source.database), partition_key(last_closed_hour(utc_now())))
    try:
        complete, message = (True, NOTHING_CHANGED) if cursor.reported == state else _report(runs.instance, market)
        cursor.reported = state if complete else ""
        messages.append(message)
    except (UserError, RunError) as error:
        messages.append(f"trying again at the next tick: {error}")
    return requests, "; ".join(filter(None, messages))


def _imports(runs: Runs, market: Market, cursor: OhlcvCursor, messages: list[str]) -> list[dg.RunRequest]:
    """The import to request, if any. Updates the cursor, and adds what there is to say."""
    asked = next_import(runs, market, cursor.files, utc_now())
    cursor.files = asked.imported
    messages.append(asked.message)
    if not asked.files:
        return []
    run_config = {"ops": {f"{market.name}__import": {"config": {"files": asked.files}}}}
    return [dg.RunRequest(job_name=import_job_name(market), run_config=run_config, tags={FILES_TAG: asked.digest})]


def _fetches(runs: Runs, market: Market, messages: list[str]) -> list[dg.RunRequest]:
    """The fetch to request, if any. Adds what there is to say."""
    try:
        asked = next_fetch(runs, market, utc_now())
    except (UserError, RunError) as error:
        messages.append(f"trying again at the next tick: {error}")
        return []
    messages.append(asked.message)
    return [dg.RunRequest(job_name=fetch_job_name(market))] if asked.asked else []


def _report(instance: dg.DagsterInstance, market: Market) -> tuple[bool, str]:
    """Report hours of the table for as long as a tick may take. Returns whether all are reported, and a message."""
    started = time.monotonic()
    news = ohlcv_news(instance, market)
    done, changed = 0, ""
    while done < len(news.unreported) and time.monotonic() - started < REPORTING_S:
        some = news.unreported.iloc[done : done + REPORTED_AT_A_TIME]
        report_news(instance, market, News(some, news.corrected.iloc[:0]))
        done += len(some)
    if len(news.corrected) or len(news.gone):
        report_news(instance, market, News(news.unreported.iloc[:0], news.corrected, news.gone))
        for hours, what in ((news.corrected.index, "were corrected"), (news.gone, "have no row any more")):
            changed += f"{len(hours)} hours {what}, {hours[0]} .. {hours[-1]}; " if len(hours) else ""
    if news.unreported.empty:
        return True, f"{changed}every hour of the table has been reported"
    rest = "" if done == len(news.unreported) else f", {len(news.unreported) - done} in the next ticks"
    hours = news.unreported.index
    return not rest, f"{changed}reported {done} hours, {hours[0]} .. {hours[done - 1]}{rest}"

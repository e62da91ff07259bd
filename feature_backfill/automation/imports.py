"""Imports the files of a market's folder into its OHLCV table: the job, and the decision which files to import next."""

import json
from dataclasses import dataclass

import dagster as dg
import pandas as pd
from pydantic import Field

from feature_backfill.assets.names import writer_pool
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.automation.changes import KnownFiles, digest, folder_state
from feature_backfill.automation.runs import ENDED, REMEMBERED_RUNS, Runs, due_after
from feature_backfill.config import Market
from feature_backfill.dagster_internals.failures import step_failure
from feature_backfill.errors import RunError, UserError, shortened
from feature_backfill.sources.files import ImportReport, import_files

FILES_TAG = "feature_backfill/files"
"""Run tag: a digest of the names, sizes and modification times of the files that a run imports."""

NAMED_FILES = 10
"""A message names so many of the files."""


class ImportConfig(dg.Config):
    """Which files of the market's folder a run imports."""

    files: list[str] = Field(default=[], description="File names in the folder. Empty: all that can be imported.")


def import_job_name(market: Market) -> str:
    """`<market>__import_files`."""
    return f"{market.name}__import_files"


def import_job(market: Market) -> dg.JobDefinition:
    """Imports files of the market's folder.

    The import takes the market's pool slot, because OHLCV and features may be stored in the same database file.
    """
    folder = market.source.folder
    assert folder is not None

    @dg.op(name=f"{market.name}__import", pool=writer_pool(market), out=dg.Out(dg.Nothing))
    def import_op(context: dg.OpExecutionContext, config: ImportConfig) -> None:
        present = folder_state(folder)
        failures = [f"no file {name} that can be imported in {folder}" for name in config.files if name not in present]
        for name in [name for name in config.files or present if name in present]:
            try:
                report = import_files([folder / name], market.source.database, market.source.table)
            except UserError as error:
                failures.append(str(error))
                continue
            except RunError as error:
                failures.append(str(error))
                break
            _log(context, name, report)
            if len(report.hours):
                report_ohlcv(context.instance, market, report.hours)
        if failures:
            raise step_failure(UserError("; ".join(failures)))

    @dg.job(
        name=import_job_name(market),
        description=(
            f"Imports the files of {folder} into {market.source.table}. "
            "Importing a file again changes nothing; a changed file updates its hours."
        ),
        executor_def=dg.in_process_executor,
    )
    def import_folder() -> None:
        import_op()

    return import_folder


def _log(context: dg.OpExecutionContext, name: str, report: ImportReport) -> None:
    context.log.info(f"{name}: {report.new} rows new, {report.changed} changed, {report.same} the same")
    if report.left_empty:
        context.log.warning(f"{name}: further columns, left NULL in the new rows: {', '.join(report.left_empty)}")
    for reason, count in report.refused.items():
        context.log.warning(f"{name}: refused {count}, {reason} (first: {report.examples[reason]})")


@dataclass(frozen=True)
class ImportRequest:
    """The outcome of one look at the folder.

    files: the files to import now, if any; digest: of these files; message: what is requested, or why nothing is.
    imported: the files in the state in which each was last imported.
    """

    files: list[str]
    digest: str
    message: str
    imported: KnownFiles


def next_import(runs: Runs, market: Market, imported: KnownFiles, now: pd.Timestamp) -> ImportRequest:
    """Request the files of the folder that are new or changed, unless an import is on its way or failed recently.

    imported: the files in the state in which each was last imported; now: UTC-naive.
    """
    assert market.source.folder is not None
    present = folder_state(market.source.folder)
    changed = imported.changed(present)
    if not changed:
        return ImportRequest([], "", f"{len(present)} files, all imported", KnownFiles.of(present))
    asked = digest(json.dumps(changed))
    job = import_job_name(market)
    if runs.is_on_its_way(job):
        return ImportRequest([], asked, "an import is queued or running", imported)
    tried = dg.RunsFilter(job_name=job, tags={FILES_TAG: asked}, statuses=ENDED)
    records = runs.instance.get_run_records(tried, limit=REMEMBERED_RUNS)
    if any(record.dagster_run.status == dg.DagsterRunStatus.SUCCESS for record in records):
        return ImportRequest([], asked, f"{len(changed)} files imported", KnownFiles.of(present))
    names = shortened(list(changed), NAMED_FILES)
    if records and (due := due_after(records[0], len(records), now)):
        message = f"the import of {names} failed; it is requested again at {due:%Y-%m-%d %H:%M} UTC"
        return ImportRequest([], asked, message, imported)
    return ImportRequest(list(changed), asked, f"importing {names}", imported)

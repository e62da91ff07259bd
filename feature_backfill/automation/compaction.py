"""The job that compacts Dagster's records, one for all markets."""

import dagster as dg
from pydantic import Field

from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.dagster_internals.compaction import compact

JOB = "compact_records"


class CompactionConfig(dg.Config):
    """Options of the compaction."""

    dry_run: bool = Field(default=False, description="Say what would be saved, write nothing.")


def compaction_job() -> dg.JobDefinition:
    """The compaction of the records of the instance that runs it."""

    @dg.op(name=f"{JOB}_op", out=dg.Out(dg.Nothing))
    def compact_op(context: dg.OpExecutionContext, config: CompactionConfig) -> None:
        with user_errors_fail_the_step():
            done = compact(context.instance, config.dry_run, own_run=context.run_id)
        for problem in done.left:
            context.log.warning(problem)
        context.log.info(done.summary)

    @dg.job(
        name=JOB,
        description=(
            "Has Dagster's records of earlier versions take less space: of runs that have ended, the log gets one line "
            "in place of a line an hour. No hour, no row and no page loses anything else; safe at any time."
        ),
        executor_def=dg.in_process_executor,
    )
    def compact_records() -> None:
        compact_op()

    return compact_records

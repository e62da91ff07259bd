"""A step that fails, or waits, for a reason which an operator can understand without a traceback.

With what a step raises, Dagster stores the traceback, which its UI and its console show below the message. The public
`Failure` and `RetryRequested` have no way to do without.

Rests on these facts of Dagster 1.13.27, none of them public:

* Dagster stores, in place of a `DagsterUserCodeProcessError`, the one `SerializableErrorInfo` that it carries. That is
  how an error from another process keeps the traceback which it had there.
* A `DagsterError` leaves a step as it was raised. One that is also a `Failure` or `RetryRequested` is treated as such.
"""

from dagster import Failure, RetryRequested
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo


class _OneLineError(DagsterUserCodeProcessError, Failure):
    pass


class _OneLineRetryError(DagsterUserCodeProcessError, RetryRequested):
    pass


def step_failure(error: Exception) -> Failure:
    """A failure of the step with the message and the class name of an error, without traceback and without retry."""
    told = _without_stack(str(error), type(error))
    return _OneLineError(  # type: ignore[no-untyped-call]
        str(error), allow_retries=False, user_code_process_error_infos=[told]
    )


def step_retry(message: str, max_retries: int, seconds_to_wait: float) -> RetryRequested:
    """The request to run the step again later, with a message and without traceback."""
    told = _without_stack(message, RetryRequested)
    return _OneLineRetryError(  # type: ignore[no-untyped-call]
        max_retries=max_retries, seconds_to_wait=seconds_to_wait, user_code_process_error_infos=[told]
    )


def _without_stack(message: str, kind: type[Exception]) -> SerializableErrorInfo:
    return SerializableErrorInfo(message=message, stack=[], cls_name=kind.__name__)

"""Many markets in as many processes as there are cores, each market in turn in one of them, and one progress bar."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from feature_backfill.commands.shared.market_worker import Outcome, Task, fill
from feature_backfill.config import Market
from feature_backfill.errors import FAILED

_Message = tuple[str, int | str] | None
LISTENED_S = 0.05
"""After so long a message that was taken from the queue has been noted."""

KILLED = (
    "its process was killed, or that of a market beside it, for want of memory perhaps; what was stored stays, and the "
    "same command computes the rest"
)

_messages: "SimpleQueue[_Message]"
_stopped: Event


def _begin(messages: "SimpleQueue[_Message]", stopped: Event) -> None:
    """In a worker: remember where it reports, and what tells that nothing more is to be begun.

    A terminal sends Ctrl-C to a whole process group, also to what Dagster starts for the logs of a run, which then
    prints a traceback. So the worker leaves the group, and its parent passes the interrupt on to it alone.
    """
    global _messages, _stopped
    _messages, _stopped = messages, stopped
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(FAILED)


def _fill(market: Market, task: Task) -> Outcome | None:
    """In a worker. An interrupt is heeded while the market is at work."""
    if _stopped.is_set():
        return None
    _messages.put(("begun", market.name))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return fill(market, task, _messages)
    except KeyboardInterrupt:
        if not _stopped.is_set():  # the pool ends its processes once one of them was killed, and takes no result
            os._exit(FAILED)
        return None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Dagster has given it the handler of the other


def in_processes(markets: Sequence[Market], task: Task) -> list[Outcome]:
    """The outcome of each market, in the order of the markets. A process that is killed ends its market only.

    Raises KeyboardInterrupt once the runs that are going have ended at what they had stored.
    """
    # Of a fork, DuckDB's threads would be lacking.
    context = multiprocessing.get_context("spawn")
    messages: SimpleQueue[_Message] = context.SimpleQueue()
    outcomes: dict[str, Outcome] = {}
    begun: set[str] = set()
    with progress_of(len(markets)) as bar, _listening(messages, bar, begun):
        while left := [market for market in markets if market.name not in outcomes]:
            try:
                for outcome in _outcomes(left, task, context, messages):
                    outcomes[outcome.market] = outcome
                    bar.advance(bar.task_ids[0])
            except BrokenProcessPool:
                while not messages.empty():
                    time.sleep(LISTENED_S)
                time.sleep(LISTENED_S)
                lost = [market.name for market in left if market.name in begun - outcomes.keys()]
                outcomes |= {name: Outcome(name, 0.0, [], KILLED) for name in lost or [left[0].name]}
    return [outcomes[market.name] for market in markets]


def _outcomes(
    markets: Sequence[Market], task: Task, context: SpawnContext, messages: "SimpleQueue[_Message]"
) -> Iterator[Outcome]:
    """The outcomes of markets as they come. Raises BrokenProcessPool if a process was killed."""
    stopped = context.Event()
    processes = min(os.cpu_count() or 1, len(markets))
    with ProcessPoolExecutor(processes, context, _begin, (messages, stopped)) as pool:
        try:
            with _interrupts_ignored():  # which the processes inherit
                futures = [pool.submit(_fill, market, task) for market in markets]
            yield from filter(None, (future.result() for future in as_completed(futures)))
        except KeyboardInterrupt:
            stopped.set()
            for pid in (process.pid for process in multiprocessing.active_children()):
                if pid is not None:
                    os.kill(pid, signal.SIGINT)
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress_of(markets: int) -> Iterator[Progress]:
    """A bar of markets and of the hours of theirs, on standard error while that is a terminal."""
    columns = (
        TextColumn("markets"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[stored]:,} of {task.fields[planned]:,} hours"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        bar.add_task("markets", total=markets, planned=0, stored=0)
        yield bar


@contextmanager
def _listening(messages: "SimpleQueue[_Message]", bar: Progress, begun: set[str]) -> Iterator[None]:
    """Show what the workers report, and note which markets they have begun."""
    listener = threading.Thread(target=_listen, args=(messages, bar, begun), daemon=True)
    listener.start()
    try:
        yield
    finally:
        messages.put(None)
        listener.join()


def _listen(messages: "SimpleQueue[_Message]", bar: Progress, begun: set[str]) -> None:
    counts = {"planned": 0, "stored": 0}
    while (message := messages.get()) is not None:
        what, value = message
        if isinstance(value, str):
            begun.add(value)
            continue
        counts[what] += value
        bar.update(bar.task_ids[0], **counts)  # type: ignore[arg-type]

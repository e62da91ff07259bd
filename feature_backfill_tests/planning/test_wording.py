"""Plans in words."""

from feature_backfill.planning.plan import plan_hours
from feature_backfill.planning.request import request_hours
from feature_backfill.planning.wording import dry_run_lines, impossible_hours, plan_table, request_message, skip_lines
from feature_backfill_tests.planning.facts import NONE, SET, facts, hour, span, without

PLAN = plan_hours(SET, span(90, 130), facts(without(100), span(90, 91), last_closed=hour(128)))

AFTER_GAP = "OHLCV lacks 2025-01-05 04:00 (1 hour); the lookback is complete again from 2025-01-06 04:00"


def test_the_table_has_a_line_for_each_stretch_with_one_reason():
    lines = plan_table(PLAN).splitlines()[2:]
    assert lines == [
        f"| can be computed | 8 | {hour(92)} | {hour(99)} |  |",
        f"| can be computed | 5 | {hour(124)} | {hour(128)} |  |",
        f"| stored | 2 | {hour(90)} | {hour(91)} |  |",
        f"| no row in OHLCV | 1 | {hour(100)} | {hour(100)} | OHLCV lacks 2025-01-05 04:00 (1 hour) |",
        f"| after a gap | 23 | {hour(101)} | {hour(123)} | {AFTER_GAP} |",
        f"| not closed yet | 2 | {hour(129)} | {hour(130)} |  |",
    ]


def test_a_dry_run_lists_the_first_hours_and_the_reasons():
    lines = dry_run_lines(SET, "the range", PLAN)
    assert lines[0] == "plan for short, the range: compute 13 hours of 220 features, keep 2, skip 24"
    assert lines[1] == f"  {hour(92)}"
    assert lines[11] == f"  ... to {hour(128)}"
    every = dry_run_lines(SET, "the range", PLAN, verbose=True)
    assert every[1:14] == [f"  {hour}" for hour in PLAN.compute]
    assert every[14:] == lines[12:] == skip_lines(PLAN.impossible)
    assert lines[12].startswith(f"skipped 1 hour, no row in OHLCV: {hour(100)} .. {hour(100)} (OHLCV lacks")
    assert lines[13] == f"skipped 23 hours, after a gap: {hour(101)} .. {hour(123)} ({AFTER_GAP})"


def test_each_stretch_has_a_reason_of_its_own_and_many_short_ones_are_one_line():
    plan = plan_hours(SET, span(0, 199), facts(without(40, 100, 101, *range(120, 180, 5))))
    lines = [line for line in plan_table(plan).splitlines() if line.startswith("| no row in OHLCV")]
    assert lines == [
        f"| no row in OHLCV | 2 | {hour(100)} | {hour(101)} | OHLCV lacks 2025-01-05 04:00 .. 05:00 (2 hours) |",
        f"| no row in OHLCV | 13 | {hour(40)} | {hour(175)} | 13 stretches, the longest 1 hours |",
    ]
    waits = [line for line in plan_table(plan).splitlines() if line.startswith("| after a gap")]
    assert "OHLCV lacks 2025-01-02 16:00 (1 hour); the lookback is complete again from 2025-01-03 16:00" in waits[0]
    assert len(waits) <= 10


def test_a_request_says_what_is_asked_for_and_what_is_not():
    request = request_hours(PLAN, span(90, 91), moving=span(92, 93), waiting=span(94, 94), at_most=3)
    message = request_message(PLAN, request, due=hour(130))
    assert message.startswith(
        f"asked for 3 hours in 1 ranges, {hour(95)} .. {hour(97)}; 7 more in the next ticks; "
        f"2 hours are queued or being computed; 1 hours failed, asked for again from {hour(130):%Y-%m-%d %H:%M} UTC"
    )
    assert message.endswith(impossible_hours(PLAN))


def test_impossible_hours_are_counted_with_the_newest_of_each_kind():
    assert impossible_hours(PLAN).startswith(f"; 1 cannot be computed, no row in OHLCV (newest {hour(100)}: OHLCV")
    assert impossible_hours(plan_hours(SET, span(90, 95), facts())) == ""


def test_nothing_asked_for_is_no_sentence():
    request = request_hours(plan_hours(SET, span(90, 95), facts()), NONE, span(90, 95), NONE, 10)
    assert request_message(PLAN, request, None).startswith("6 hours are queued or being computed")

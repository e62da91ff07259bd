"""Which markets share a run."""

from feature_backfill.planning.sharing import FEWEST, MOST, MOST_HOURS, Wish, shared_runs


def wishes(count, hours=1, failures=0, name="m"):
    return [Wish(f"{name}{number:03}", hours, failures) for number in range(count)]


def sizes(asked, cores=2):
    runs = shared_runs(asked, cores)
    assert sorted(market for run in runs for market in run) == sorted(wish.market for wish in asked)
    return [len(run) for run in runs]


def test_nobody_asks_for_nothing():
    assert shared_runs([], 2) == []


def test_few_markets_are_one_run_and_many_are_spread_over_the_cores():
    assert sizes(wishes(FEWEST)) == [FEWEST]
    assert sizes(wishes(200)) == [100, 100]
    assert sizes(wishes(200), cores=8) == [25] * 8
    assert max(sizes(wishes(1000))) == MOST


def test_a_market_with_a_long_history_has_a_run_of_its_own_and_goes_last():
    runs = shared_runs([Wish("long", MOST_HOURS, 0), *wishes(3)], 2)
    assert runs == [["m000", "m001", "m002"], ["long"]]


def test_markets_whose_runs_failed_are_apart_and_in_smaller_and_smaller_runs():
    assert shared_runs([*wishes(2), *wishes(1, failures=1, name="bad")], 2) == [["m000", "m001"], ["bad000"]]
    assert [sizes(wishes(20, failures=failures)) for failures in (1, 2, 3)] == [[5] * 4, [1] * 20, [1] * 20]

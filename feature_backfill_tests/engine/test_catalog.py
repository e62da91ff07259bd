"""The built-in catalogue: its names are frozen, each has its formula in the oracle, and each is described."""

from pathlib import Path

import pyarrow.parquet as pq

from feature_backfill.checks import oracle
from feature_backfill.engine.catalog import BUILT_IN, feature_names
from feature_backfill.engine.order import ORDER

GOLDEN = Path(__file__).parents[1] / "golden"


def difference(some: str, names: list[str], others: str, other_names: list[str]) -> str:
    """How two lists of names differ, in one line; empty if they do not."""
    new = [name for name in names if name not in other_names]
    lacking = [name for name in other_names if name not in names]
    if not new and not lacking:
        return "" if names == other_names else f"{some} has the names of {others} in another order"
    return (
        f"{some} has {len(names)} names, {others} {len(other_names)}; "
        f"new: {', '.join(new) or 'none'}; lacking: {', '.join(lacking) or 'none'}"
    )


def test_every_feature_has_its_formula_in_the_oracle():
    problem = difference("engine/order.py", list(ORDER), "checks/oracle.py", list(oracle.FEATURES))
    assert not problem, problem
    assert {feature.name: feature.min_bars for feature in BUILT_IN.features} == {
        name: min_bars for name, (min_bars, _) in oracle.FEATURES.items()
    }


def test_the_names_that_models_read_stay_and_keep_their_order():
    frozen = pq.read_schema(GOLDEN / "synthetic_default.parquet").names
    frozen.remove("ts")
    assert len(frozen) == 440
    kept = [name for name in feature_names() if name in set(frozen)]
    problem = difference("engine/order.py", kept, "the golden output", frozen)
    assert not problem, problem


def test_a_difference_is_one_line_that_names_it():
    assert difference("a", ["x", "y", "z"], "b", ["x", "y"]) == "a has 3 names, b 2; new: z; lacking: none"
    assert difference("a", ["x"], "b", ["x", "y"]) == "a has 1 names, b 2; new: none; lacking: y"
    assert difference("a", ["x", "y"], "b", ["y", "x"]) == "a has the names of b in another order"


def test_every_feature_is_described():
    assert all(group.formula for group in BUILT_IN.groups)
    assert list(BUILT_IN.summaries()) == feature_names()
    assert len(set(feature_names())) == len(feature_names()) == 4 * len(ORDER)


def test_names_that_promise_too_much_say_so():
    summaries = BUILT_IN.summaries(["1H"])
    assert "not a Hurst exponent" in summaries["close_hurst_100_1H"]
    assert "not the p-value" in summaries["close_ljung_p_5_100_1H"]

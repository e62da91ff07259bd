"""Declarations of features: what does not fit is refused, and what is said of the oldest bar is true."""

from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from feature_backfill import compute_features
from feature_backfill.engine import compute
from feature_backfill.engine.catalog import BUILT_IN, FAMILIES, build_catalog
from feature_backfill.engine.feature import DeclarationError, Feature, FeatureGroup, computes
from feature_backfill.engine.lookbacks import Lookbacks
from feature_backfill.engine.order import ORDER
from feature_backfill.engine.timeframes import HOURS_PER_BAR
from feature_backfill.engine.windows import OhlcvWindows, Windows
from feature_backfill.hours import HOUR
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.engine.features import features_of
from feature_backfill_tests.engine.oldest_bars import wrong_declarations

LOOKBACKS = sorted(
    {bars for group in BUILT_IN.groups for bars in (group.min_bars, group.reach, group.reach + 1) if bars > 0} | {300}
)
"""Bars at which a declaration says something, and a long lookback."""
HIGHEST = "highest_high_30"
FIRST = pd.Timestamp("2025-01-01")


def module(*groups: FeatureGroup) -> ModuleType:
    """A module of a user's own that defines these functions."""
    made = ModuleType(__name__)
    vars(made).update({str(place): group for place, group in enumerate(groups)})
    return made


def catalog_of(*groups: FeatureGroup):
    return build_catalog([feature.name for group in groups for feature in group.features], [module(*groups)])


def highest_high(argument: type = OhlcvWindows, bars: int = 30, min_bars: int = 30, **declared: int) -> FeatureGroup:
    """The highest high of 30 bars, declared in one way or another."""

    def highest_high(w):
        windows = w.windows if argument is Lookbacks else w
        values = windows.max(windows.high, bars)
        return w.at_hours(values) if argument is Lookbacks else values

    highest_high.__annotations__["w"] = argument
    return computes(Feature(HIGHEST, min_bars, "highest high of 30 bars"), **declared)(highest_high)


# --- what is read of the oldest bar ---


@pytest.mark.parametrize("timeframe", HOURS_PER_BAR)
def test_every_feature_reads_the_oldest_bar_as_declared(timeframe):
    assert wrong_declarations(BUILT_IN, timeframe, LOOKBACKS) == []


def test_a_declaration_that_is_true_passes():
    assert wrong_declarations(catalog_of(highest_high()), "1D", range(28, 33)) == []


WRONG = {
    "reads the oldest bar, which is not declared": highest_high(reach=14),
    "does not read the oldest bar, though it is declared": highest_high(reach=31),
    "reads hours before the lookback": highest_high(Windows),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_declaration_that_is_wrong_is_found(wrong):
    found = wrong_declarations(catalog_of(WRONG[wrong]), "1D", range(28, 33))
    bars = 31 if "though" in wrong else 30
    assert f"test_declarations.highest_high, {HIGHEST} of {bars} 1D bars: {wrong}" in found
    assert all(f"of {bars} 1D bars" in report for report in found)


@pytest.mark.parametrize(("timeframe", "base_hours"), [("1D", 720), ("1D", 743), ("12H", 360), ("4H", 120), ("1H", 30)])
def test_a_feature_of_30_bars_is_right_where_a_lookback_keeps_30(timeframe, base_hours):
    ohlcv = synthetic_ohlcv(FIRST, 1000, seed=2)
    hours = ohlcv["timestamp"][800:850]
    highest = features_of(catalog_of(highest_high()), ohlcv, hours, base_hours, timeframe)
    high, length = ohlcv.set_index("timestamp")["high"], HOURS_PER_BAR[timeframe]
    for hour in hours:
        newest_label = hour.floor(f"{length}h")
        first = max(hour - (base_hours - 1) * HOUR, newest_label - (30 * length - 1) * HOUR)
        assert highest.loc[hour].item() == high[first:newest_label].max()


def test_more_features_change_no_value_of_the_others(monkeypatch):
    ohlcv = synthetic_ohlcv(FIRST, 1000)
    more = build_catalog((*ORDER, HIGHEST), (*FAMILIES, module(highest_high())))
    hours = ohlcv["timestamp"][720:800]
    for base_hours in (720, 480, 100):
        alone = compute_features(ohlcv, hours, base_hours).features
        together = features_of(more, ohlcv, hours, base_hours)
        assert list(together.columns) == more.names()
        pd.testing.assert_frame_equal(together[alone.columns], alone, check_exact=True)
        monkeypatch.setattr(compute, "BARS_APART", 200)
        in_parts = features_of(more, ohlcv, hours, base_hours)
        pd.testing.assert_frame_equal(in_parts, together, check_exact=True)
        monkeypatch.undo()


# --- what is refused ---


@computes(Feature("first", 2, "the first"))
def first(w: Windows):
    return w.last_close


@computes(Feature("first", 2, "the first again"))
def first_again(w: Windows):
    return w.last_close


@computes(Feature("second", 0, ""))
def second(w: Windows):
    return w.last_close


@computes()
def nothing(w: Windows):
    return ()


@pytest.mark.parametrize(
    ("order", "groups", "message"),
    [
        (
            ["first"],
            [first, first_again],
            "first is declared 2 times: by test_declarations.first and test_declarations.first_again",
        ),
        (
            [],
            [first],
            "first, declared by test_declarations.first, is not in the order of emission (engine/order.py): add it",
        ),
        (
            ["first", "third"],
            [first],
            "third is in the order of emission (engine/order.py), but no function declares it",
        ),
        (["first", "first"], [first], "first is 2 times in the order of emission (engine/order.py)"),
        (["second"], [second], "test_declarations.second declares second with min_bars=0: it must be 1 or more"),
        (["second"], [second], "test_declarations.second declares second without a summary"),
        (["first"], [first, nothing], "test_declarations.nothing declares no features"),
        ([], [], "feature_backfill_tests.engine.test_declarations declares no features"),
    ],
)
def test_a_catalogue_of_declarations_that_do_not_fit_is_refused(order, groups, message):
    with pytest.raises(DeclarationError) as error:
        build_catalog(order, [module(*groups)])
    assert message in str(error.value)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(DeclarationError) as error:
        build_catalog(["third"], [module(first, second)])
    assert str(error.value).count("; ") == 4


def unannotated(w):
    return w.last_close


def of_a_number(w: int):
    return w


def of_two(w: Windows, lb: Lookbacks):
    return w, lb


@pytest.mark.parametrize("function", [unannotated, of_a_number, of_two])
def test_a_function_of_anything_else_is_refused(function):
    with pytest.raises(
        DeclarationError, match=f"{function.__name__} must take one argument, annotated as Windows, Ohlcv"
    ):
        computes(Feature("first", 1, "the first"))(function)


@pytest.mark.parametrize(("argument", "reach"), [(Windows, 3), (Windows, 0), (OhlcvWindows, -1)])
def test_a_reach_that_makes_no_sense_is_refused(argument, reach):
    with pytest.raises(DeclarationError, match=f"highest_high declares reach={reach}: "):
        highest_high(argument, reach=reach)


def returning(make):
    """Two features of a function that returns what is made of its windows."""

    def two(w: Windows):
        return make(w)

    return computes(Feature("first", 1, "the first"), Feature("second", 1, "the second"))(two)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: w.last_close, r"declares 2 features \(first, second\) and returns 1 columns"),
        (lambda w: [w.last_close] * 3, r"declares 2 features \(first, second\) and returns 3 columns"),
        (
            lambda w: (w.last_close, 0.0),
            "returns a float as second; return a numpy array of real numbers",
        ),
        (lambda w: 0.0, r"declares 2 features \(first, second\) and returns 1 columns"),
        (lambda w: np.zeros((2, len(w))), "declares 2 features .* and returns 1 columns"),
        (lambda w: (w.close, w.last_close), "returns an array of shape .* as first"),
    ],
)
def test_a_function_that_returns_other_columns_than_declared_fails_at_its_first_call(make, message):
    ohlcv = synthetic_ohlcv(FIRST, 100)
    with pytest.raises(DeclarationError, match=rf"test_declarations\.two {message}"):
        features_of(catalog_of(returning(make)), ohlcv, ohlcv["timestamp"][50:], 24, "1H")


def test_a_function_that_needs_more_bars_than_declared_fails_at_its_first_call():
    ohlcv = synthetic_ohlcv(FIRST, 100)
    group = highest_high(min_bars=20)
    with pytest.raises(
        DeclarationError, match="highest_high: 30 bars are read of lookbacks that keep 24; raise min_bars"
    ):
        features_of(catalog_of(group), ohlcv, ohlcv["timestamp"][50:], 24, "1H")


def test_each_feature_of_a_function_has_its_own_minimum_of_bars():
    @computes(Feature("first", 5, "needs 5 bars"), Feature("second", 25, "needs 25 bars"))
    def pair(w: Windows):
        return w.last_close, w.last_close

    ohlcv = synthetic_ohlcv(FIRST, 100)
    hours = ohlcv["timestamp"][50:]
    for bars, missing in {4: [True, True], 5: [False, True], 24: [False, True], 25: [False, False]}.items():
        features = features_of(catalog_of(pair), ohlcv, hours, bars, "1H")
        assert np.isnan(features).all().to_list() == missing
        assert np.isnan(features).any().to_list() == missing

"""Features of a user's own: where they stand in a row, and what they see of further columns."""

import math
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_backfill import Column, Feature, OhlcvWindows, Windows, compute_features, computes, feature_names
from feature_backfill.checks import oracle
from feature_backfill.checks.references import reference_values, rules_of
from feature_backfill.engine.catalog import BUILT_IN, Catalog, catalog_with
from feature_backfill.engine.feature import DeclarationError, FeatureGroup
from feature_backfill.hours import HOUR
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.desk import sound
from feature_backfill_tests.engine.features import features_of

FIRST = pd.Timestamp("2025-01-01")
TAKER = Column("taker", "sum", "skip")
OWN = ["desk_taker_share", "desk_taker_share_6", "desk_momentum_3", "desk_ema_5"]


def market(hours: int) -> pd.DataFrame:
    ohlcv = synthetic_ohlcv(FIRST, hours)
    return ohlcv.assign(taker=ohlcv["volume"] * np.random.default_rng(1).uniform(size=hours))


def module(name: str, *groups: FeatureGroup) -> ModuleType:
    """A module that defines these functions."""
    made = ModuleType(name)
    for group in groups:
        group.function.__module__ = name
        setattr(made, group.function.__name__, group)
    return made


def close_of(name: str) -> FeatureGroup:
    @computes(Feature(name, 1, "the close"))
    def close(w: Windows):
        return w.last_close

    return close


def test_names_follow_the_built_in_ones_module_by_module_for_every_timeframe():
    other = module("other", close_of("other_close"))
    timeframes = ["4H", "1D"]
    assert feature_names(timeframes, modules=[sound, other]) == [
        *feature_names(timeframes),
        *(f"{name}_{timeframe}" for timeframe in timeframes for name in OWN),
        "other_close_4H",
        "other_close_1D",
    ]
    assert feature_names(timeframes, modules=["feature_backfill_tests.desk.sound"])[220:] == [
        f"{name}_{timeframe}" for timeframe in timeframes for name in OWN
    ]
    assert len(feature_names()) == 440


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([module("mine", close_of("close_sma_20"))], "mine: the name close_sma_20 is taken; rename it"),
        ([sound, module("mine", close_of("desk_ema_5"))], "mine: the name desk_ema_5 is taken; rename it"),
        ([module("mine")], "mine declares no features"),
        ([module("mine", computes(Feature("a", 0, "x"))(close_of("b").function))], "with min_bars=0: it must be 1"),
        ([math], "math declares no features"),
    ],
)
def test_modules_that_cannot_be_used_are_refused(modules, message):
    with pytest.raises(DeclarationError, match=message):
        catalog_with(modules)


def test_a_function_that_sees_closes_alone_reads_no_column():
    with pytest.raises(DeclarationError, match="declares columns: Windows hold closes alone; take OhlcvWindows"):
        computes(Feature("a", 1, "x"), columns=["taker"])(close_of("b").function)


def test_own_features_join_the_built_in_ones_and_change_none():
    ohlcv = market(1000)
    targets = ohlcv["timestamp"][720:800]
    plain = compute_features(ohlcv, targets)
    own = compute_features(ohlcv, targets, modules=[sound], columns=[TAKER])
    pd.testing.assert_frame_equal(own.features[plain.features.columns], plain.features, check_exact=True)
    assert list(own.features.columns) == feature_names(modules=[sound])
    frame = ohlcv.set_index("timestamp")
    last = targets.iloc[-1]
    assert own.features.at[last, "desk_taker_share_1H"] == frame.at[last, "taker"] / frame.at[last, "volume"]
    label = last.floor("4h")
    six = frame[label - 23 * HOUR : label]
    assert own.features.at[last, "desk_taker_share_6_4H"] == pytest.approx(six["taker"].sum() / six["volume"].sum())


def test_a_column_that_ohlcv_lacks_is_an_error():
    ohlcv = market(100)
    with pytest.raises(ValueError, match="OHLCV lacks the column taker"):
        compute_features(ohlcv.drop(columns="taker"), ohlcv["timestamp"][60:], 48, modules=[sound], columns=[TAKER])
    with pytest.raises(DeclarationError, match="features read the column taker; say in columns what it is"):
        compute_features(ohlcv, ohlcv["timestamp"][60:], 48, modules=[sound])


@pytest.mark.parametrize(("bar", "if_bad"), [("median", "skip"), ("sum", "ignore")])
def test_a_rule_that_does_not_exist_is_an_error(bar, if_bad):
    with pytest.raises(ValueError, match=r"column taker: '(median|ignore)' is not one of "):
        Column("taker", bar, if_bad)


def test_an_hour_without_a_value_is_skipped_or_its_bars_are_null():
    ohlcv = market(200)
    ohlcv.loc[100, "taker"] = np.nan
    ohlcv.loc[150, "taker"] = np.inf
    bad = ohlcv["timestamp"][100]
    targets = ohlcv["timestamp"][48:]
    skip = compute_features(ohlcv, targets, 48, timeframes=["1H"], modules=[sound], columns=[TAKER])
    assert list(skip.skipped.index) == [*ohlcv["timestamp"][100:148], *ohlcv["timestamp"][150:198]]
    assert "taker is not a number; the lookback " in skip.skipped[bad]
    null = compute_features(
        ohlcv, targets, 48, timeframes=["1H"], modules=[sound], columns=[Column("taker", "sum", "null")]
    )
    assert null.skipped.empty
    lacking = null.features.isna()
    hours = [ohlcv["timestamp"][[at]] for at in (100, 150)]
    assert list(lacking.index[lacking["desk_taker_share_1H"]]) == [hour.item() for hour in hours]
    assert list(lacking.index[lacking["desk_taker_share_6_1H"]]) == [
        hour.item() + more * HOUR for hour in hours for more in range(6)
    ]
    assert not lacking[["desk_momentum_3_1H", "desk_ema_5_1H", "close_sma_20_1H"]].any(axis=None)


RULES = ("last", "sum", "mean", "max", "min")


def of_column(bars: int) -> FeatureGroup:
    """The newest bar's value of a column, and the greatest of some bars."""

    @computes(
        Feature("newest", 1, "newest"),
        Feature("greatest", bars, "greatest"),
        columns=("x",),
        reference=lambda b: (b.columns["x"][-1], max(b.columns["x"][-bars:])),
    )
    def of_column(w: OhlcvWindows):
        return w.last(w.column("x")), w.max(w.column("x"), min(bars, w.bars))

    return of_column


@given(
    rule=st.sampled_from(RULES),
    if_bad=st.sampled_from(["skip", "null"]),
    base_hours=st.integers(24, 60),
    bars=st.integers(1, 8),
    bad=st.sets(st.integers(0, 99), max_size=4),
    seed=st.integers(0, 5),
)
def test_columns_become_bars_as_the_oracle_has_it(rule, if_bad, base_hours, bars, bad, seed):
    values = np.random.default_rng(seed).normal(size=100)
    values[list(bad)] = np.nan
    ohlcv = synthetic_ohlcv(FIRST, 100, seed).assign(x=values)
    column, timeframes = Column("x", rule, if_bad), ("1H", "4H", "8H")
    catalog = Catalog(()).extended([module("mine", of_column(bars))])
    targets = ohlcv["timestamp"][base_hours:]
    computed = features_of(catalog, ohlcv, targets, base_hours, *timeframes, columns=[column])
    rows = oracle.hourly_rows(ohlcv, ["x"])
    for hour in targets:
        window = oracle.bars_of_hour(rows, hour.to_pydatetime(), base_hours, 0, timeframes, rules_of([column]))
        if isinstance(window, oracle.Skip):
            assert hour not in computed.index
        else:
            expected = reference_values(catalog, window)
            np.testing.assert_allclose(computed.loc[hour], [expected[name] for name in computed.columns], rtol=1e-12)


def test_built_in_features_are_one_section():
    assert len(BUILT_IN.sections) == 1
    assert BUILT_IN.columns == ()


def test_functions_made_by_others_and_listed_are_found():
    made = module("mine")
    made.one = close_of("one")
    made.more = [close_of("two"), close_of("three")]
    assert [feature.name for feature in Catalog(()).extended([made]).features] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["CLOSE_SMA_20"], "the name CLOSE_SMA_20 is taken; rename it"),
        (["mine", "Mine"], "mine and Mine differ in case only, which SQL does not see"),
        (['a "b"'], "a name has letters, digits and underscores"),
    ],
)
def test_names_that_sql_would_mix_up_are_refused(names, message):
    made = module("some_module")
    made.features = [close_of(name) for name in names]
    with pytest.raises(DeclarationError, match=message):
        catalog_with([made])


def test_no_function_can_change_what_others_see():
    @computes(Feature("capped", 1, "x"))
    def capped(w: Windows):
        w.close[w.close > 0] = 1
        return w.last_close

    @computes(Feature("doubled", 2, "x"))
    def doubled(w: Windows):
        w.log_return[:] *= 2
        return w.last(w.log_return)

    @computes(Feature("loud", 1, "x"))
    def loud(w: OhlcvWindows):
        w.volume[:] = 0
        return w.last(w.volume)

    ohlcv = market(200)
    for group in (capped, doubled, loud):
        with pytest.raises(ValueError, match="read-only"):
            features_of(Catalog(()).extended([module("mine", group)]), ohlcv, ohlcv["timestamp"][100:], 48)


def test_a_column_is_seen_by_the_functions_only_that_declare_it():
    @computes(Feature("sly", 1, "x"))
    def sly(w: OhlcvWindows):
        return w.last(w.column("taker"))

    ohlcv = market(200)
    with pytest.raises(DeclarationError, match="sly: the column taker is read without being declared"):
        compute_features(ohlcv, ohlcv["timestamp"][100:], 48, modules=[sound, module("mine", sly)], columns=[TAKER])


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (lambda w: w.last_close.astype(complex), "complex128 array"),
        (lambda w: pd.Series(w.last_close), "Series"),
        (lambda w: w.last_close.astype(str), r"<U\d+ array"),
    ],
)
def test_a_result_that_is_no_array_of_numbers_is_named(values, what):
    @computes(Feature("odd", 1, "x"))
    def odd(w: Windows):
        return values(w)

    ohlcv = market(200)
    with pytest.raises(DeclarationError, match=f"odd returns a {what} as odd; return a numpy array of real numbers"):
        features_of(Catalog(()).extended([module("mine", odd)]), ohlcv, ohlcv["timestamp"][100:], 48)

"""The harness finds every way of cheating, and nothing wrong with sound features."""

import numpy as np
import pytest

from feature_backfill.checks.harness import scene as scene_module
from feature_backfill.checks.harness.examination import Examination
from feature_backfill.checks.harness.scene import scene_of, synthetic_scene
from feature_backfill.engine.catalog import BUILT_IN, groups_of
from feature_backfill.engine.columns import Column
from feature_backfill.engine.lookback import Lookback
from feature_backfill.errors import UserError
from feature_backfill_tests.desk import cheats, sound

TAKER = Column("taker", "sum", "skip")
LOOKBACK, TIMEFRAMES = Lookback(120), ("1H", "4H")

PROBLEMS = {
    "uses_the_next_bar": "looks ahead: later rows change uses_the_next_bar_1H at ",
    "normalised_by_the_batch": "looks ahead: later rows change normalised_by_the_batch_1H at ",
    "reads_one_bar_more": "depends on more bars than it declares: bars before the newest 20 change ",
    "keeps_state": "keeps state: keeps_state_1H at ",
    "off_its_reference": "differs from its reference: at ",
    "raises": "cheats.raises raises KeyError: 'a name'",
    "has_the_wrong_shape": "cheats.wrong_shape returns an array of shape ",
    "sums_since_the_start": "depends on rows before its lookback: they change sums_since_the_start_1H at ",
    "reads_an_undeclared_column": "cheats.undeclared: the column taker is read without being declared; add it to ",
    "fails_in_short_lookbacks": "fails in a lookback of 2 bars: cheats.too_few_bars: 10 bars are read of lookbacks ",
    "reads_the_partial_bar": "depends on rows before its lookback: they change reads_the_partial_bar_4H at ",
    "never_has_a_value": "has no value at any hour of the synthetic market",
}


@pytest.fixture(scope="module")
def scene():
    return synthetic_scene([TAKER], LOOKBACK, TIMEFRAMES)


@pytest.fixture(scope="module")
def verdicts(scene):
    return {verdict.feature: verdict for verdict in Examination(scene).of(groups_of(cheats))}


def test_there_is_an_expectation_for_every_cheat():
    assert list(PROBLEMS) == [feature.name for group in groups_of(cheats) for feature in group.features]


@pytest.mark.parametrize("cheat", PROBLEMS)
def test_a_feature_that_cheats_is_caught_by_name(verdicts, cheat):
    assert verdicts[cheat].problem.startswith(PROBLEMS[cheat])


def test_sound_features_pass(scene):
    found = list(Examination(scene).of(groups_of(sound)))
    assert [verdict.feature for verdict in found] == [
        "desk_taker_share",
        "desk_taker_share_6",
        "desk_momentum_3",
        "desk_ema_5",
    ]
    assert [verdict.problem for verdict in found] == [""] * 4
    assert all(verdict.missing == verdict.infinite == 0 and verdict.microseconds > 0 for verdict in found)


def test_the_built_in_features_pass(monkeypatch):
    monkeypatch.setattr(scene_module, "PROBES", 9)
    scene = synthetic_scene([], Lookback(420), ["4H"])
    found = list(Examination(scene).of(BUILT_IN.groups))
    assert len(found) == len(BUILT_IN.features)
    assert {verdict.feature: verdict.problem for verdict in found if verdict.problem} == {}
    notes = {verdict.feature: verdict.notes for verdict in found}
    assert notes["close_vwap"] == ()
    assert notes["close_williams_r_14"] == ("close_williams_r_14_4H repeats close_stoch_k_14_4H: correlation 1.00000",)


def test_what_is_worth_knowing_is_noted(scene):
    existing = scene.values(groups_of(sound)[1]).rename(columns=lambda name: f"known_{name}")
    (momentum, _) = Examination(scene, existing).of(groups_of(sound)[1:])
    assert momentum.notes == ("desk_momentum_3_1H repeats known_desk_momentum_3_1H: correlation 1.00000",)


def test_a_market_of_ones_own_with_gaps_is_tried_too(scene):
    ohlcv = scene.ohlcv.drop(index=range(400, 420))
    ohlcv.loc[900, "taker"] = np.inf
    with_gap = scene_of("mine", ohlcv, [TAKER], LOOKBACK, TIMEFRAMES)
    assert len(with_gap.targets) == len(scene.targets) - 20 - 119 - 120
    assert [verdict.problem for verdict in Examination(with_gap).of(groups_of(sound))] == [""] * 4


def test_a_market_that_is_too_short_is_refused(scene):
    with pytest.raises(UserError, match=r"of mine only 61 hours can be computed with a lookback of 120 hours.* 100;"):
        scene_of("mine", scene.ohlcv[:180], [TAKER], LOOKBACK, TIMEFRAMES)

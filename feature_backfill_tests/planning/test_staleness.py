"""What is stale among stored hours, and what cannot be judged."""

from feature_backfill.engine.soundness import SkipKind
from feature_backfill.planning.plan import Keep, plan_hours
from feature_backfill.planning.staleness import staleness
from feature_backfill_tests.planning.facts import OHLCV, SET, facts, span, without

STORED = span(60, 120)


def judged(ohlcv, settings=SET.settings, computed_from=OHLCV):
    given = facts(ohlcv, STORED, computed_from, settings)
    plan = plan_hours(SET, STORED, given, Keep.CURRENT)
    return staleness(SET, plan, STORED, given.inputs)


def test_rows_are_stale_where_ohlcv_changed_and_unsound_where_it_lost_an_hour():
    changed = without(100)
    changed.loc[70, "close"] = changed.loc[70, "high"]
    found = judged(changed)
    assert list(found.renewable) == list(span(70, 93))
    assert list(found.unsound.index) == list(span(100, 120))
    assert [reason.kind for reason in found.unsound[:2]] == [SkipKind.ABSENT, SkipKind.AFTER_GAP]
    assert found.stale.equals(span(70, 93).union(span(100, 120)))
    assert found.unknown.empty
    assert found.other_settings.empty


def test_rows_of_other_settings_and_rows_without_digest_are_listed_apart():
    assert judged(without(100), settings="others").other_settings.equals(STORED)
    assert judged(without(100), settings="others").stale.empty
    assert judged(without(100), computed_from=None).unknown.equals(STORED)

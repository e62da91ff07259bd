from feature_backfill.checks import oracle
from feature_backfill.engine.catalog import CATALOG, feature_names, feature_summaries


def test_the_catalogue_is_complete_and_in_order():
    assert [feature.position for feature in CATALOG] == list(range(1, 111))
    assert {feature.name: feature.bars for feature in CATALOG} == {
        name: bars for name, (bars, _) in oracle.FEATURES.items()
    }
    assert [feature.name for feature in CATALOG] == list(oracle.FEATURES)


def test_every_feature_is_described():
    assert all(feature.summary and feature.family for feature in CATALOG)
    assert list(feature_summaries()) == feature_names()
    assert len(set(feature_names())) == 440


def test_names_that_promise_too_much_say_so():
    summaries = feature_summaries(["1H"])
    assert "not a Hurst exponent" in summaries["close_hurst_100_1H"]
    assert "not the p-value" in summaries["close_ljung_p_5_100_1H"]

import pandas as pd
import pytest

from feature_backfill.hours import contiguous_runs, hour_of, hour_range, last_closed_hour, partition_key, to_utc

FIRST = pd.Timestamp("2025-11-13 08:00")


def test_a_partition_key_names_its_hour():
    assert partition_key(FIRST) == "2025-11-13-08:00"
    assert hour_of("2025-11-13-08:00") == FIRST


def test_an_hour_is_closed_once_the_next_one_has_begun():
    assert last_closed_hour(pd.Timestamp("2025-11-13 13:12")) == pd.Timestamp("2025-11-13 12:00")
    assert last_closed_hour(pd.Timestamp("2025-11-13 13:00")) == pd.Timestamp("2025-11-13 12:00")


@pytest.mark.parametrize(
    "stamps",
    [
        ["2025-11-13 08:00"],
        ["2025-11-13T10:00+02:00"],
        [pd.Timestamp("2025-11-13 08:00", tz="UTC")],
        pd.DatetimeIndex(["2025-11-13 17:00"], tz="Asia/Tokyo"),
        pd.Series(pd.to_datetime(["2025-11-13 08:00"], utc=True)),
    ],
)
def test_every_spelling_of_an_hour_is_utc_without_a_zone(stamps):
    assert list(to_utc(stamps)) == [FIRST]
    assert to_utc(stamps).tz is None


def test_stamps_that_do_not_parse_are_all_named():
    with pytest.raises(ValueError, match="'soon', 'later'"):
        to_utc(["soon", "2025-01-01", "later"])


def test_runs_are_unbroken():
    hours = hour_range(FIRST, FIRST + pd.Timedelta(hours=9)).delete([3, 4, 8])
    at = [FIRST + pd.Timedelta(hours=hour) for hour in (0, 2, 5, 7, 9, 9)]
    assert list(contiguous_runs(hours)) == [(at[0], at[1]), (at[2], at[3]), (at[4], at[5])]
    assert contiguous_runs(hours[:0]) == []

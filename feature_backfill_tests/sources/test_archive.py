"""History from the exchange's archive of files, compared with its API."""

import pandas as pd
import pytest

from feature_backfill.hours import HOUR, hour_range
from feature_backfill_tests.exchange import faults
from feature_backfill_tests.exchange.scene import FIRST, NOW, PERPETUAL, SPOT, served_scene

pytestmark = pytest.mark.usefixtures("short_pauses")

DAYS = (NOW.normalize() - FIRST).days
CLOSED_TODAY = 5
LATE = pd.Timestamp("2024-12-28")
LATE_DAYS = 7
"""From this day on, the files are few, and of two months."""


def fetched(scene, first=LATE, **source):
    return scene.fetch(first, archive=scene.exchange.url, **source)


@pytest.mark.parametrize("source", [SPOT, PERPETUAL], ids=["spot", "perpetual"])
def test_history_comes_from_the_archive_and_the_rest_from_the_api(scene, source):
    """Spot files are in milliseconds until 2024 and in microseconds since; those of perpetuals have a header.

    The days before the first candle make the spot market longer than a page of its API.
    """
    brought = fetched(scene, FIRST - pd.Timedelta(days=10), refetch_hours=24, **source)
    assert brought.warnings == []
    assert brought.new == {"archive": 24 * DAYS, "API": CLOSED_TODAY}
    scene.assert_table_is_what_the_exchange_holds()
    files = [request.path.rpartition("/")[2] for request in scene.exchange.asked("/data/")]
    assert sorted(files) == sorted(set(files))
    assert {file[11:18] for file in files} >= {"2024-12", "2025-01"}
    assert scene.klines_asked() <= 4

    scene.later(days=2)
    fetched(scene, FIRST, **source)
    assert len(scene.exchange.asked("/data/")) == len(files)
    scene.assert_table_is_what_the_exchange_holds()


@pytest.mark.usefixtures("small_pages")
class TestFiles:
    def test_only_the_days_that_lack_are_loaded(self, scene):
        fetched(scene, pd.Timestamp("2025-01-03 12:00"))
        assert scene.exchange.asked("/data/") == []
        fetched(scene)
        days = {request.path[-14:-4] for request in scene.exchange.asked("daily") if request.path.endswith(".zip")}
        assert days == {f"{day:%Y-%m-%d}" for day in pd.date_range(LATE, periods=LATE_DAYS)}
        scene.assert_table_is_what_the_exchange_holds(LATE)

    def test_an_archive_that_refuses_is_left_out_and_what_it_gave_before_stays(self, scene):
        scene.faults.switch_on(faults.status(403), "2025-01-02.zip")
        brought = fetched(scene)
        assert brought.new == {"archive": 4 * 24, "API": 3 * 24 + CLOSED_TODAY}
        (warning,) = brought.warnings
        assert warning.startswith("the archive is left out: http")
        assert warning.endswith(
            "BTCUSDT-1h-2025-01-02.zip is refused with HTTP 403; correct `archive`, or set it to none"
        )
        scene.assert_table_is_what_the_exchange_holds(LATE)

    def test_no_archive_if_none_is_wanted(self, scene):
        scene.fetch(LATE, archive="none")
        assert scene.exchange.asked("/data/") == []
        scene.assert_table_is_what_the_exchange_holds(LATE)

    def test_a_missing_daily_file_is_made_good_by_the_monthly_one_and_both_by_the_api(self, scene):
        scene.faults.switch_on(faults.absent, "2024-12-30")
        scene.faults.switch_on(faults.absent, "2025-01-02")
        brought = fetched(scene)
        assert (brought.new, brought.warnings) == ({"archive": 6 * 24, "API": 24 + CLOSED_TODAY}, [])
        scene.assert_table_is_what_the_exchange_holds(LATE)

    def test_a_wrong_checksum_is_asked_for_once_more(self, scene):
        scene.faults.switch_on(faults.wrong_checksum, "12-30.zip.CHECKSUM", times=1)
        assert fetched(scene).warnings == []
        scene.assert_table_is_what_the_exchange_holds(LATE)

    def test_a_file_that_its_checksum_does_not_fit_is_not_used(self, scene):
        scene.faults.switch_on(faults.wrong_checksum, ".zip.CHECKSUM")
        brought = fetched(scene)
        assert brought.new == {"API": LATE_DAYS * 24 + CLOSED_TODAY}
        assert brought.warnings == [
            "archive: not what the checksum says, not used: "
            "BTCUSDT-1h-2024-12-28.zip, BTCUSDT-1h-2024-12-29.zip, BTCUSDT-1h-2024-12-30.zip and 5 more"
        ]
        scene.assert_table_is_what_the_exchange_holds(LATE)

    def test_a_file_without_a_checksum_is_used_and_said(self, scene):
        scene.faults.switch_on(faults.absent, "12-30.zip.CHECKSUM")
        brought = fetched(scene)
        assert brought.new["archive"] == LATE_DAYS * 24
        assert brought.warnings == ["archive: without a checksum, used anyway: BTCUSDT-1h-2024-12-30.zip"]
        scene.assert_table_is_what_the_exchange_holds(LATE)

    @pytest.mark.parametrize(
        ("fault", "complaint"),
        [
            (faults.wrong_content, "the file must hold one CSV file and nothing else; it holds readme.txt"),
            (faults.not_a_zip, "the file is no zip file, or is damaged: File is not a zip file; get it anew"),
        ],
    )
    def test_a_zip_of_something_else_is_named_and_not_used(self, scene, fault, complaint):
        scene.faults.switch_on(faults.absent, "2025-01-02.zip.CHECKSUM")
        scene.faults.switch_on(fault, "2025-01-02.zip")
        brought = fetched(scene)
        assert brought.warnings == [f"archive: not used, {complaint}: BTCUSDT-1h-2025-01-02.zip"]
        assert brought.new == {"archive": 6 * 24, "API": 24 + CLOSED_TODAY}
        scene.assert_table_is_what_the_exchange_holds(LATE)

    @pytest.mark.parametrize("fault", [faults.down, faults.cut, faults.status(503)])
    def test_a_broken_download_is_asked_for_again(self, scene, fault):
        scene.faults.switch_on(fault, "/data/", times=6)
        brought = fetched(scene)
        assert (brought.new["archive"], brought.warnings) == (LATE_DAYS * 24, [])
        scene.assert_table_is_what_the_exchange_holds(LATE)

    def test_an_archive_that_is_down_is_left_out(self, scene):
        scene.faults.switch_on(faults.down, "/data/")
        brought = fetched(scene)
        assert brought.new == {"API": LATE_DAYS * 24 + CLOSED_TODAY}
        (warning,) = brought.warnings
        assert warning.startswith("the archive is left out: http://127.0.0.1")
        scene.assert_table_is_what_the_exchange_holds(LATE)


WRONG_AT = pd.Timestamp("2024-12-29 13:00")


def wrong_in(part, first, last=None):
    """An archive where the files whose names contain `part` have other volumes from the first to the last hour."""

    def archived(name, candles):
        if part in name:
            candles.loc[first : first if last is None else last, "volume"] += 1
        return candles

    return archived


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("file", ["2024-12", "2024-12-29"])
def test_a_file_with_one_row_that_the_other_file_of_the_day_does_not_have_is_not_used(tmp_path, file):
    """The API decides; it is asked for this day alone, and for one more of the month."""
    with served_scene(tmp_path, archived=wrong_in(f"{file}.zip", WRONG_AT)) as scene:
        brought = fetched(scene)
        assert brought.warnings == [
            f"archive: disagrees with the API, not used: BTCUSDT-1h-{file}.zip at 2024-12-29 13:00"
        ]
        assert brought.new["archive"] == LATE_DAYS * 24
        scene.assert_table_is_what_the_exchange_holds(LATE)


@pytest.mark.usefixtures("small_pages")
def test_files_that_agree_with_each_other_and_not_with_the_api_are_not_used(tmp_path):
    with served_scene(tmp_path, archived=wrong_in("2024-12", FIRST, NOW)) as scene:
        brought = fetched(scene)
        (warning,) = brought.warnings
        assert warning.startswith("archive: disagrees with the API, not used: BTCUSDT-1h-2024-12")
        assert warning.endswith("and 2 more")
        assert brought.new == {"archive": 3 * 24, "API": 4 * 24 + CLOSED_TODAY}
        scene.assert_table_is_what_the_exchange_holds(LATE)


def test_hours_that_were_lost_in_maintenance_are_in_neither(scene):
    lost = hour_range(WRONG_AT, WRONG_AT + 3 * HOUR)
    for hour in lost:
        scene.served.remove(hour)
    brought = fetched(scene, FIRST)
    assert list(brought.absent) == list(lost)
    assert brought.warnings == []
    scene.assert_table_is_what_the_exchange_holds()

"""Faults of all kinds at random: once they end, the table is what the exchange holds."""

import random

import pandas as pd
import pytest

from feature_backfill.errors import RunError, UserError
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.exchange import faults
from feature_backfill_tests.exchange.faults import status
from feature_backfill_tests.exchange.scene import served_scene

FIRST = pd.Timestamp("2024-12-26")
BEGIN = pd.Timestamp("2025-01-02 10:30")
HOURS = 2000
REFETCH_HOURS = 24 * 31
ROUNDS_A_MARKET = 25
"""After so many rounds, the market is as old as REFETCH_HOURS allows, and a new one begins."""

API_FAULTS = [
    status(429),
    status(429, Retry_After="0.2"),
    status(418, Retry_After="3600"),
    status(451),
    status(500),
    status(503),
    faults.cut,
    faults.down,
    faults.not_json,
]
PAGE_FAULTS = [*API_FAULTS, faults.short_page, faults.one_row]
ARCHIVE_FAULTS = [
    status(403),
    status(503),
    faults.cut,
    faults.down,
    faults.absent,
    faults.wrong_content,
    faults.not_a_zip,
]
WEIGHT_A_SECOND = 2400 / 60
"""Of Binance's limit for perpetuals."""


class Storm:
    """What happens to the exchange."""

    def __init__(self, scene, chance, wrong_files):
        self.scene, self.chance, self.wrong_files = scene, chance, wrong_files
        self.removed = {}
        self.final = synthetic_ohlcv(FIRST, HOURS, seed=9).set_index("timestamp").drop(columns="volume")

    def happen(self):
        """One thing that may happen between two fetches."""
        chance, scene = self.chance, self.scene
        actions = [self.let_time_pass, self.fault, self.fault, self.archive_fault, self.restate, self.remove]
        chance.choice([*actions, self.put_back, self.wrong_file, self.start_over, scene.faults.clear])()

    def let_time_pass(self):
        self.scene.later(minutes=self.chance.choice([1, 20, 29.99, 60, 600, -10]))

    def fault(self):
        part, kinds = self.chance.choice(
            [("exchangeInfo", API_FAULTS), ("time", API_FAULTS), ("v1/klines", PAGE_FAULTS)]
        )
        self.scene.faults.switch_on(self.chance.choice(kinds), part, times=self.chance.choice([1, 3, 8, 30]))

    def archive_fault(self):
        chance = self.chance
        change, part = chance.choice(ARCHIVE_FAULTS), chance.choice(["daily", "monthly", "CHECKSUM", "12-28.zip"])
        if part == "CHECKSUM":
            change = chance.choice([faults.wrong_checksum, faults.absent])
        self.scene.faults.switch_on(change, part, times=chance.choice([1, 3, None]))

    def restate(self):
        held = self.scene.served.closed()["timestamp"]
        self.scene.served.restate(self.chance.choice(list(held)), round(self.chance.uniform(1, 900), 3))

    def remove(self):
        hour = self.chance.choice(list(self.scene.served.closed()["timestamp"]))
        self.removed[hour] = self.scene.served.remove(hour)

    def put_back(self):
        for hour in list(self.removed):
            self.scene.served.put_back(self.removed.pop(hour))

    def wrong_file(self):
        self.wrong_files.add(self.chance.choice(["2024-12.zip", "2024-12-28.zip", "2025-01-01.zip"]))

    def start_over(self):
        (self.scene.folder / "ohlcv.duckdb").unlink(missing_ok=True)

    def fetch(self):
        """Whether a fetch succeeded."""
        try:
            self.scene.fetch(FIRST, archive=self.scene.exchange.url, refetch_hours=REFETCH_HOURS)
        except (RunError, UserError):
            return False
        return True

    def assert_no_open_candle_was_stored(self):
        """An open candle has other prices than it has in the end. What is restated, or wrong in a file, is volume."""
        if (self.scene.folder / "ohlcv.duckdb").exists():
            stored = self.scene.stored()
            final = self.final.loc[stored["timestamp"]].reset_index()
            pd.testing.assert_frame_equal(stored.drop(columns="volume"), final, check_dtype=False)


def weather(folder, chance, rounds):
    """Some rounds of faults on one market. Returns how many fetches of them succeeded."""
    wrong_files = set()

    def archived(name, candles):
        if any(part in name for part in wrong_files):
            candles.iloc[len(candles) // 2, 4] += 1
        return candles

    with served_scene(folder, FIRST, BEGIN, HOURS, archived) as scene:
        storm = Storm(scene, chance, wrong_files)
        succeeded = 0
        for _ in range(rounds):
            for _ in range(chance.randint(1, 3)):
                storm.happen()
            succeeded += storm.fetch()
            storm.assert_no_open_candle_was_stored()
        scene.faults.clear()
        storm.put_back()
        scene.later(hours=5)  # past all that the clock had reached before it was set back
        scene.fetch(FIRST, since=FIRST, archive=scene.exchange.url, refetch_hours=REFETCH_HOURS)
        scene.assert_table_is_what_the_exchange_holds(FIRST)
        assert scene.absent().empty
        assert scene.heaviest_second() <= WEIGHT_A_SECOND
    return succeeded


@pytest.mark.usefixtures("short_pauses", "small_pages")
@pytest.mark.parametrize(
    "rounds", [pytest.param(25, marks=pytest.mark.live), pytest.param(500, marks=pytest.mark.long)]
)
def test_after_random_faults_the_table_is_what_the_exchange_holds(tmp_path, pytestconfig, figures, rounds):
    chance = random.Random(pytestconfig.getoption("--fault-seed"))
    succeeded = 0
    for number, _ in enumerate(range(0, rounds, ROUNDS_A_MARKET)):
        folder = tmp_path / str(number)
        folder.mkdir()
        succeeded += weather(folder, chance, ROUNDS_A_MARKET)
    figures(f"{rounds} rounds of faults, {succeeded} fetches succeeded in spite of them")
    assert 0 < succeeded < rounds

"""What a market's YAML may say of a lake, and what the lake says of itself."""

from pathlib import Path

import pytest

from feature_backfill.config import Lake, Market, load_market, remember, remembered
from feature_backfill.errors import UserError

MARKET = """
name: Btc_1
first_hour: 2025-01-01
source: {{database: ohlcv.duckdb, table: ohlcv}}
feature_sets: []
{target}
"""
CATALOG = "postgresql://lake:${LAKE_PASSWORD}@db.example:5433/lake?sslmode=require"


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_PASSWORD", "p@ss $word")


def loaded(folder: Path, target: str) -> Market:
    file = folder / "btc.yaml"
    file.write_text(MARKET.format(target=target))
    return load_market(file)


def test_a_lake_has_the_markets_schema_and_shows_no_secret(tmp_path: Path) -> None:
    market = loaded(tmp_path, f"target: {{catalog: '{CATALOG}', data: lake}}")
    lake = market.target
    assert isinstance(lake, Lake)
    assert (lake.schema, lake.data, lake.in_bucket) == ("btc_1", str(tmp_path / "lake"), False)
    assert str(lake) == "lake db.example:5433/lake, schema btc_1"
    assert lake.connection == {
        "connect_timeout": "10",
        "host": "db.example",
        "port": "5433",
        "user": "lake",
        "password": "p@ss $word",
        "dbname": "lake",
        "sslmode": "require",
    }
    assert "p@ss" not in f"{market!r} {lake!r} {market.model_dump_json()}"
    with pytest.raises(UserError, match=r"has no DuckDB file but lake db\.example"):
        _ = market.target_database


def test_a_lake_in_a_bucket_with_a_schema_of_its_own_name(tmp_path: Path) -> None:
    lake = loaded(tmp_path, f"target: {{catalog: '{CATALOG}', data: s3://bucket/lake, schema: other}}").target
    assert isinstance(lake, Lake)
    assert (lake.schema, lake.data, lake.in_bucket) == ("other", "s3://bucket/lake", True)


def test_a_market_with_a_lake_is_remembered(tmp_path: Path) -> None:
    market = loaded(tmp_path, f"target: {{catalog: '{CATALOG}', data: lake}}")
    remember(tmp_path / "memory", tmp_path / "btc.yaml", market)
    assert remembered(tmp_path / "memory", tmp_path / "btc.yaml") == market


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "target_database: Field required, a DuckDB file; or target, for a lake"),
        ("target_database: a.duckdb\ntarget: {}", "either a target_database or a target; remove one"),
        ("target: {data: lake}", "target.catalog: Field required"),
        (f"target: {{catalog: '{CATALOG}'}}", "target.data: Field required"),
        (f"target: {{catalog: '{CATALOG}', data: lake, file: x}}", "target.file: unknown field; allowed are catalog"),
        (f"target: {{catalog: '{CATALOG}', data: 'gs://b/x'}}", "target.data: gs://b/x is neither a folder nor"),
        (f"target: {{catalog: '{CATALOG}', data: 's3://'}}", "target.data: s3:// names no bucket"),
        (f"target: {{catalog: '{CATALOG}', data: lake, schema: a-b}}", "target.schema: String should match pattern"),
        ("target: {catalog: mysql://host/lake, data: lake}", "target.catalog: not an address of a PostgreSQL"),
        ("target: {catalog: postgresql://host, data: lake}", "target.catalog: not an address of a PostgreSQL"),
        ("target: {catalog: 'postgresql://host:x/lake', data: lake}", "target.catalog: not an address of a Post"),
        ("target: {catalog: 5, data: lake}", "target.catalog: an address of a PostgreSQL database is text"),
        ("target: {catalog: 'postgresql://${NOT_SET}@host/lake', data: lake}", "NOT_SET is not set"),
    ],
)
def test_what_is_wrong_with_a_target_is_said(tmp_path: Path, target: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        loaded(tmp_path, target)
    assert message in str(error.value)


@pytest.mark.parametrize("address", ["postgresql://u:hidden@host/lake", "postgresql://host/lake?password=hidden"])
def test_a_password_in_the_yaml_is_refused_and_not_quoted(tmp_path: Path, address: str) -> None:
    with pytest.raises(UserError, match="a password does not belong into the YAML") as error:
        loaded(tmp_path, f"target: {{catalog: '{address}', data: lake}}")
    assert "hidden" not in str(error.value)


def test_an_address_with_a_password_is_not_quoted_where_a_program_gives_it() -> None:
    with pytest.raises(ValueError, match="a password does not belong") as error:
        Lake("postgresql://u:hidden@host/lake", "/lake", "btc")
    assert "hidden" not in str(error.value)

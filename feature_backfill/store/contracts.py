"""What a target database remembers of its contents: the contract of each feature key, and whose bars it holds.

`feature_keys` has one row a key. Rows that somebody else stored have no entry there: their contract is read off them.
`feature_key_modules` has one row for each key with features of a user's own. `bars_source` has at most one row.
"""

from dataclasses import replace
from functools import partial

import duckdb

from feature_backfill.contracts import IF_MOVED, KeyContract, Missing, ModuleIdentity, OhlcvIdentity
from feature_backfill.errors import UserError
from feature_backfill.store.database import database_path, in_transaction, scalar
from feature_backfill.store.schema import has_own_table, has_table, primary_key, require_schema

KEYS_TABLE, MODULES_TABLE, BARS_SOURCE_TABLE = "feature_keys", "feature_key_modules", "bars_source"

_KEYS_COLUMNS = {
    "feature_key": "VARCHAR",
    "names": "VARCHAR[]",
    "timeframes": "VARCHAR[]",
    "base_hours": "INTEGER",
    "buffer_hours": "INTEGER",
    "missing": "VARCHAR",
    "market": "VARCHAR",
    "ohlcv_database": "VARCHAR",
    "ohlcv_table": "VARCHAR",
}
_MODULES_COLUMNS = {
    "feature_key": "VARCHAR",
    "modules": "VARCHAR[]",
    "versions": "VARCHAR[]",
    "sources": "VARCHAR[]",
    "columns": "VARCHAR[]",
}
_KEYS_PRIMARY_KEY = ("feature_key",)
_BARS_COLUMNS = {"market": "VARCHAR", "ohlcv_database": "VARCHAR", "ohlcv_table": "VARCHAR"}

_TOKENS = ("NaN", "Infinity")


def claim_key(connection: duckdb.DuckDBPyConnection, feature_key: str, wanted: KeyContract) -> KeyContract:
    """Record the contract under which rows are about to join a key, and return it. The features table must exist.

    Raises UserError, and records nothing, if the rows of the key are of another contract.
    """
    known = known_contract(connection, feature_key)
    contract = wanted.continuing(known, feature_key, database_path(connection))
    if known == contract and not known.changed_modules(contract):
        return contract
    _create_table(connection, KEYS_TABLE, _KEYS_COLUMNS, _KEYS_PRIMARY_KEY)
    if contract.modules:
        _create_table(connection, MODULES_TABLE, _MODULES_COLUMNS, _KEYS_PRIMARY_KEY)
    in_transaction(connection, partial(_record, connection, feature_key, contract))
    return contract


def _record(connection: duckdb.DuckDBPyConnection, feature_key: str, contract: KeyContract) -> None:
    """Put a contract in the place of the one that the key has, if it has one."""
    forget_key(connection, feature_key)  # there may be one of a key whose rows somebody has deleted
    ohlcv = contract.ohlcv
    connection.execute(
        f"INSERT INTO {KEYS_TABLE} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            feature_key,
            list(contract.names),
            None if contract.timeframes is None else list(contract.timeframes),
            contract.base_hours,
            contract.buffer_hours,
            contract.missing,
            *((ohlcv.market, ohlcv.database, ohlcv.table) if ohlcv else (None, None, None)),
        ],
    )
    if not contract.modules:
        return
    parts = ([getattr(module, part) for module in contract.modules] for part in ("name", "version", "source"))
    connection.execute(
        f"INSERT INTO {MODULES_TABLE} VALUES (?, ?, ?, ?, ?)", [feature_key, *parts, list(contract.columns)]
    )


def forget_key(connection: duckdb.DuckDBPyConnection, feature_key: str) -> None:
    """Delete the contract of a key, so that its next rows may be of any other."""
    for table in (KEYS_TABLE, MODULES_TABLE):
        if has_table(connection, table):
            connection.execute(f"DELETE FROM {table} WHERE feature_key = ?", [feature_key])


def known_contract(connection: duckdb.DuckDBPyConnection, feature_key: str) -> KeyContract | None:
    """The contract of a key: as recorded, else as its rows show it. None for a key without rows."""
    if not has_table(connection, "features"):
        return None
    newest = scalar(connection, "SELECT max(ts) FROM features WHERE feature_key = ?", [feature_key])
    if newest is None:
        return None
    return recorded_contract(connection, feature_key) or _contract_of_rows(connection, feature_key, newest)


def recorded_contract(connection: duckdb.DuckDBPyConnection, feature_key: str) -> KeyContract | None:
    """The contract of a key as recorded, None if there is none."""
    if not has_own_table(connection, KEYS_TABLE, _KEYS_COLUMNS, _KEYS_PRIMARY_KEY):
        return None
    rows = connection.execute(f"SELECT * FROM {KEYS_TABLE} WHERE feature_key = ?", [feature_key]).fetchall()
    if not rows:
        return None
    _, names, timeframes, base_hours, buffer_hours, missing, *ohlcv = rows[0]
    if names is None:
        return None
    contract = KeyContract(
        tuple(names),
        None if timeframes is None else tuple(timeframes),
        base_hours,
        buffer_hours,
        missing,
        OhlcvIdentity(*ohlcv) if None not in ohlcv else None,
    )
    return _with_modules(connection, feature_key, contract)


def _with_modules(connection: duckdb.DuckDBPyConnection, feature_key: str, contract: KeyContract) -> KeyContract:
    """The contract with the modules and columns that are recorded for the key."""
    if not has_own_table(connection, MODULES_TABLE, _MODULES_COLUMNS, _KEYS_PRIMARY_KEY):
        return contract
    rows = connection.execute(f"SELECT * FROM {MODULES_TABLE} WHERE feature_key = ?", [feature_key]).fetchall()
    if not rows:
        return contract
    _, *parts, columns = rows[0]
    return replace(contract, modules=tuple(map(ModuleIdentity, *parts)), columns=tuple(columns))


def _contract_of_rows(connection: duckdb.DuckDBPyConnection, feature_key: str, newest: object) -> KeyContract:
    """The contract that the rows of a key show: the names of the newest one, and how missing values are spelled."""
    row = "FROM features WHERE feature_key = ? AND ts = ?"
    names = scalar(connection, f"SELECT json_keys(features) {row}", [feature_key, newest]) or []
    return KeyContract(tuple(names), missing=_spelling(connection, feature_key, newest))


def _spelling(connection: duckdb.DuckDBPyConnection, feature_key: str, newest: object) -> Missing:
    """How the rows of a key spell missing values. If none is missing, the script's form of JSON tells its rows."""

    def some_row_has(text: str) -> bool:
        sql = "SELECT 1 FROM features WHERE feature_key = ? AND contains(CAST(features AS VARCHAR), ?) LIMIT 1"
        return scalar(connection, sql, [feature_key, text]) is not None

    if any(some_row_has(f"{space}{token}") for token in _TOKENS for space in (": ", ":", ": -", ":-")):
        return "nan"
    if some_row_has(": null") or some_row_has(":null"):
        return "null"
    spaced = "SELECT contains(CAST(features AS VARCHAR), '\": ') FROM features WHERE feature_key = ? AND ts = ?"
    return "nan" if scalar(connection, spaced, [feature_key, newest]) else "null"


def claim_bars(connection: duckdb.DuckDBPyConnection, wanted: OhlcvIdentity) -> None:
    """Record whose bars the database holds. Raises UserError, and records nothing, if they are another market's."""
    require_bars_of(connection, wanted)
    if _bars_holders(connection) == [wanted]:
        return
    _create_table(connection, BARS_SOURCE_TABLE, _BARS_COLUMNS, ())

    def record() -> None:
        connection.execute(f"DELETE FROM {BARS_SOURCE_TABLE}")
        connection.execute(
            f"INSERT INTO {BARS_SOURCE_TABLE} VALUES (?, ?, ?)", [wanted.market, wanted.database, wanted.table]
        )

    in_transaction(connection, record)


def require_bars_of(connection: duckdb.DuckDBPyConnection, wanted: OhlcvIdentity) -> None:
    """Raise UserError if the database holds bars of another market."""
    others = [holder for holder in _bars_holders(connection) if not holder.is_same(wanted)]
    if others:
        raise UserError(
            f"{database_path(connection)} holds the bars of {others[0]}, not of {wanted}; give each market a target "
            f"of its own (target_database or target in the YAML, --feat-duckdb on the command line). {IF_MOVED}"
        )


def _bars_holders(connection: duckdb.DuckDBPyConnection) -> list[OhlcvIdentity]:
    """Whose bars the database holds, as recorded: one OHLCV, or none."""
    if not has_own_table(connection, BARS_SOURCE_TABLE, _BARS_COLUMNS, ()):
        return []
    rows = connection.execute(f"SELECT * FROM {BARS_SOURCE_TABLE}").fetchall()
    return [OhlcvIdentity(*row) for row in rows]


def forget_ohlcv(connection: duckdb.DuckDBPyConnection) -> None:
    """Forget which OHLCV the bars and the keys were computed from. The next run records its own."""

    def forget() -> None:
        if has_table(connection, BARS_SOURCE_TABLE):
            connection.execute(f"DELETE FROM {BARS_SOURCE_TABLE}")
        if has_table(connection, KEYS_TABLE):
            connection.execute(f"UPDATE {KEYS_TABLE} SET market = NULL, ohlcv_database = NULL, ohlcv_table = NULL")

    in_transaction(connection, forget)


def _create_table(
    connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], key: tuple[str, ...]
) -> None:
    """Create a table of the project's own if there is none. Raises UserError if the one there has another schema."""
    defined = [f"{column} {sql_type}" for column, sql_type in columns.items()]
    clause = primary_key(connection, key)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(defined)}{clause})")
    require_schema(connection, table, columns, key)

"""The contract of a feature key: what every row under it holds, and which OHLCV it is computed from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from feature_backfill.errors import UserError, shortened

Missing = Literal["null", "nan"]
"""How a NaN or infinite value is spelled: JSON null, or the bare tokens NaN, Infinity, -Infinity."""

NAMED = 3
"""How many of the names that differ a message lists."""

IF_MOVED = "If it is the same OHLCV, moved or renamed, say so with feature-backfill forget-ohlcv"


@dataclass(frozen=True)
class OhlcvIdentity:
    """Which OHLCV rows and bars are computed from: the market's name, and the file and table of its hourly rows."""

    market: str
    database: str
    table: str

    @property
    def is_named_after_table(self) -> bool:
        """Whether the market's name says nothing: a market that only flags describe is named after its table."""
        return self.market == re.sub(r"\W", "_", self.table, flags=re.ASCII)

    def is_same(self, other: "OhlcvIdentity") -> bool:
        """Whether both are one OHLCV: the same table of the same file or, wherever the file is, of the same market."""
        same_market = self.market == other.market and not self.is_named_after_table
        return self.table == other.table and (self.database == other.database or same_market)

    def __str__(self) -> str:
        return f"market {self.market} (table {self.table} of {self.database})"


@dataclass(frozen=True)
class ModuleIdentity:
    """A module of a user's own features: its name, the version that it declares, and a digest of its source.

    The digest does not tell modules apart: the version does. It tells that the source of a version has changed.
    """

    name: str
    version: str
    source: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


@dataclass(frozen=True)
class KeyContract:
    """What a row under a feature key is. None: not known, for instance of rows that somebody else stored.

    names: the features in the order in which a row has them. timeframes: those computed. base_hours, buffer_hours: the
    lookback. missing: how NaN and infinities are spelled. ohlcv: what rows are computed from. modules: of a user's own
    features. columns: the further columns of the OHLCV table that these read, with what a bar makes of them, in words.
    """

    names: tuple[str, ...]
    timeframes: tuple[str, ...] | None = None
    base_hours: int | None = None
    buffer_hours: int | None = None
    missing: Missing | None = None
    ohlcv: OhlcvIdentity | None = None
    modules: tuple[ModuleIdentity, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def used_timeframes(self) -> tuple[str, ...]:
        """The timeframes of the names, in their order."""
        return tuple(dict.fromkeys(name.rpartition("_")[2] for name in self.names))

    def summary(self) -> dict[str, str | int | None]:
        """The contract in a few values that a person can take in."""
        return {
            "features": len(self.names),
            "timeframes": _joined(self.timeframes or self.used_timeframes),
            "base_hours": self.base_hours,
            "buffer_hours": self.buffer_hours,
            "missing": self.missing or "as the stored rows have it, null in a new key",
            "ohlcv": str(self.ohlcv) if self.ohlcv else None,
            **({"modules": ", ".join(map(str, self.modules))} if self.modules else {}),
            **({"columns": "; ".join(self.columns)} if self.columns else {}),
        }

    def continuing(self, known: "KeyContract | None", feature_key: str, database: str) -> "KeyContract":
        """The contract under which new rows join those that a key has. Where this one leaves the spelling of missing
        values open, they take that of the rows; a new key takes null.

        known: the contract of the rows that are stored; None if there are none. database: the file, for the message.

        Raises UserError that says what differs.
        """
        if known is None:
            return replace(self, missing=self.missing or "null")
        differences = known.differences(self)
        if differences:
            moved = f". {IF_MOVED}" if known.ohlcv and self.ohlcv and not known.ohlcv.is_same(self.ohlcv) else ""
            raise UserError(
                f"the key {feature_key} of {database} holds other rows: {'; '.join(differences)}. Use another feature "
                f"key, or start this one anew with feature-backfill retire-key, which keeps its rows readable{moved}"
            )
        return replace(self, missing=known.missing or self.missing or "null")

    def changed_modules(self, other: "KeyContract") -> list[ModuleIdentity]:
        """The modules of another contract whose source is not the one that this contract knows for the version."""
        known = {module: module.source for module in self.modules}
        return [module for module in other.modules if known.get(module, module.source) != module.source]

    def differences(self, other: "KeyContract") -> list[str]:
        """How other rows would differ from those of this contract, in words; what either does not know is left out."""
        found = [] if self.names == other.names else [_different_names(self.names, other.names)]
        fields = {
            "timeframes": (_joined(self.timeframes), _joined(other.timeframes)),
            "base hours": (self.base_hours, other.base_hours),
            "buffer hours": (self.buffer_hours, other.buffer_hours),
            "missing values": (self.missing, other.missing),
        }
        found += [
            f"{field}: {ours} there, {theirs} here"
            for field, (ours, theirs) in fields.items()
            if ours is not None and theirs is not None and ours != theirs
        ]
        if self.timeframes is not None and other.timeframes is not None:
            found += _different("feature modules", self.modules, other.modules)
            found += _different("columns", self.columns, other.columns)
        if self.ohlcv and other.ohlcv and not self.ohlcv.is_same(other.ohlcv):
            found.append(f"OHLCV: {self.ohlcv} there, {other.ohlcv} here")
        return found


def _different(what: str, there: Sequence[object], here: Sequence[object]) -> list[str]:
    """How what two contracts say in several items differs."""
    texts = [", ".join(map(str, items)) or "none" for items in (there, here)]
    return [] if there == here else [f"{what}: {texts[0]} there, {texts[1]} here"]


def _different_names(there: Sequence[str], here: Sequence[str]) -> str:
    """How two sequences of feature names differ."""
    sizes = f"{len(there)} features there, {len(here)} here"
    if set(there) == set(here):
        return f"features: {sizes}, in another order"
    lacking = [name for name in here if name not in set(there)]
    surplus = [name for name in there if name not in set(here)]
    parts = [
        f"only {place}: {shortened(names, NAMED)}" for place, names in (("here", lacking), ("there", surplus)) if names
    ]
    return f"features: {sizes} ({', '.join(parts)})"


def _joined(names: Sequence[str] | None) -> str | None:
    return None if names is None else " ".join(names)

"""Markets by the names that the config of a job gives. Jobs for all markets load far quicker than one for each."""

from collections.abc import Sequence

from feature_backfill.config import FeatureSet, Market
from feature_backfill.errors import UserError


def markets_named(markets: Sequence[Market], names: Sequence[str]) -> list[Market]:
    """The markets of these names; all without a name. Raises UserError that lists the names, if one is unknown."""
    known = {market.name: market for market in markets}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"no market {', '.join(unknown)} in configs/, which has {', '.join(known) or 'none'}")
    return [known[name] for name in dict.fromkeys(names)] if names else list(markets)


def feature_set_named(markets: Sequence[Market], market: str, key: str) -> tuple[Market, FeatureSet]:
    """A feature set and its market; either name may be empty where there is only one to choose from.

    Raises UserError that lists the names, if one is unknown, or empty where there are several.
    """
    found = markets_named(markets, [market] if market else [])
    if len(found) != 1:
        raise UserError(f"say which market: {', '.join(each.name for each in found) or 'configs/ has none'}")
    (only,) = found
    if key:
        return only, only.feature_set(key)
    if len(only.feature_sets) != 1:
        raise UserError(
            f"say which feature_key: {', '.join(each.key for each in only.feature_sets) or 'there is none'}"
        )
    return only, only.feature_sets[0]

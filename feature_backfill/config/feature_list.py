"""Feature lists: JSON arrays that choose and order the features that are stored."""

import difflib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from feature_backfill.errors import UserError

SHOWN = 5
"""How many unknown names a message lists."""


def read_feature_list(path: Path, computed: Sequence[str]) -> list[str]:
    """The names in a feature list, in its order. Each must be one of the computed names.

    Raises UserError if the file is missing, is not a JSON array of strings, is empty, or has unknown or repeated names.
    """
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"feature list {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"feature list {path} is not JSON: {error}") from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"feature list {path} is not a JSON array of at least one feature name")
    known = set(computed)
    unknown = [_with_closest(name, computed) for name in dict.fromkeys(names) if name not in known]
    if unknown:
        more = f"; and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        raise UserError(f"feature list {path} has unknown names: {'; '.join(unknown[:SHOWN])}{more}")
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise UserError(f"feature list {path} repeats {', '.join(repeated)}; list each name once")
    return names


def _with_closest(name: str, names: Sequence[str]) -> str:
    """The quoted name, followed by the known name that is spelled most like it."""
    spellings = {known.lower(): known for known in names}
    closest = difflib.get_close_matches(name.lower(), spellings, n=1)
    return f"{name!r}" + (f" (closest: {spellings[closest[0]]})" if closest else "")

import duckdb
import pytest

from feature_backfill.errors import UserError
from feature_backfill.store.extensions import load_extensions


def test_an_extension_that_is_not_installed_is_named_with_the_extra_that_brings_it() -> None:
    with (
        duckdb.connect() as connection,
        pytest.raises(UserError, match=r"backfill\[lake\].* INSTALL not_there"),
    ):
        load_extensions(connection, ["not_there"])

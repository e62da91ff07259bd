"""Addresses, and what is said of a failure."""

import sys

import pandas as pd
import pytest

from feature_backfill.alerts.sending import refuse_bad_addresses, send
from feature_backfill.alerts.wording import trial_message
from feature_backfill.config import Alerts
from feature_backfill.errors import UserError
from feature_backfill_tests.alerts.webhook import webhook

MESSAGE = trial_message("small", pd.Timestamp("2025-01-01 08:00"))


def target(url, **fields):
    return Alerts(targets=[{"name": "a", "url": url, **fields}]).targets[0]


def test_a_message_arrives_as_it_is():
    with webhook() as hook:
        assert send(target(f"json://{hook.address}/x"), MESSAGE) is None
        (received,) = hook.received
    assert received["title"] == "small: a test, nothing happened"
    assert received["message"] == "This target receives the alerts of feature_backfill. (2025-01-01 08:00 UTC)"
    assert received["type"] == "info"


def test_a_target_that_prints(capsys):
    assert send(target("print"), MESSAGE) is None
    assert capsys.readouterr().out.splitlines()[0] == "small: a test, nothing happened"


def test_no_part_of_an_address_is_said(monkeypatch, caplog):
    monkeypatch.setenv("TOKEN", "s3cret-token")
    with webhook() as hook:
        address = hook.address
    for url in ("json://user:pa55word@" + address + "/${TOKEN}?x=${TOKEN}", "json://${TOKEN}.invalid/path-secret"):
        problem = send(target(url), MESSAGE)
        assert problem
        for secret in ("s3cret-token", "pa55word", "path-secret"):
            assert secret not in problem and secret not in caplog.text
            assert secret not in repr(target(url)) and secret not in str(target(url).model_dump())


def test_a_plugin_that_breaks_is_said_and_raises_nothing(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no way to path-secret")

    import apprise

    monkeypatch.setattr(apprise.Apprise, "instantiate", broken)
    assert send(target("json://localhost/path-secret"), MESSAGE) == "RuntimeError: no way to ***"


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    problem = "the package apprise is not installed; pip install 'feature-backfill[alerts]'"
    assert send(target("json://localhost"), MESSAGE) == problem
    with pytest.raises(UserError, match="is not installed"):
        refuse_bad_addresses(Alerts(targets=[{"name": "a", "url": "json://localhost"}]))
    refuse_bad_addresses(Alerts(targets=[{"name": "a", "url": "print"}]))


@pytest.mark.parametrize("url", ["nosuch://x", "tgram://x", "not an address", "json://"])
def test_bad_addresses_are_refused(url):
    with pytest.raises(UserError, match=r"alerts.yaml: targets.a: Apprise takes no such address"):
        refuse_bad_addresses(Alerts(targets=[{"name": "a", "url": url}]))

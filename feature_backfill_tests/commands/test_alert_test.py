"""`alert-test`, and what `check-config` says of alerts.yaml."""

import pytest

from feature_backfill.cli import main
from feature_backfill_tests.alerts.webhook import webhook
from feature_backfill_tests.markets import configure, small_market


@pytest.fixture
def configs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configure(small_market(tmp_path), tmp_path / "configs")
    return tmp_path / "configs"


def write(configs, *targets):
    (configs / "alerts.yaml").write_text("targets:\n" + "".join(f"  - {target}\n" for target in targets))


def test_each_target_gets_a_message_and_it_is_said_which_arrived(configs, capsys):
    with webhook() as up, webhook() as down:
        down.status = 500
        targets = [f"{{name: up, url: 'json://{up.address}'}}", f"{{name: down, url: 'json://{down.address}'}}"]
        write(configs, *targets, "{name: here, url: print, markets: [another]}")
        assert main(["alert-test"]) == 3
        assert up.titles() == ["a test, nothing happened"]
        said = capsys.readouterr()
        up_line, down_line, *printed, here_line = said.out.splitlines()
        assert (up_line, here_line) == ("up: arrived", "here: arrived")
        assert down_line.startswith("down: did not arrive: ") and "error=500" in down_line
        assert printed[0] == "a test, nothing happened"
        assert said.err == "feature-backfill alert-test: failed: 1 of 3 targets took no message: down\n"
        down.status = 200
        assert main(["alert-test", "small"]) == 0
        assert up.titles() == down.titles() == ["small: a test, nothing happened"]


def test_a_target_that_cannot_be_used_is_told_and_the_others_are_tried(configs, capsys):
    write(configs, "{name: lost, url: 'json://${NOT_THERE}'}", "{name: here, url: print}")
    assert main(["alert-test"]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "here: arrived"
    assert "targets.0.url: environment variable NOT_THERE is not set" in said.err


def test_what_there_is_not_is_refused(configs, capsys):
    assert main(["alert-test"]) == 2
    assert "copy configs/examples/alerts.yaml" in capsys.readouterr().err
    write(configs, "{name: here, url: print}")
    assert main(["alert-test", "nobody"]) == 2
    assert "no market nobody" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["{name: a, url: [hush]}", "{name: a, url: hush", "{name: a, url: 'hush://hush'}"])
def test_check_config_quotes_no_address(configs, capsys, target):
    write(configs, target)
    assert main(["check-config"]) == 2
    said = capsys.readouterr()
    assert "alerts.yaml" in said.err
    assert "hush" not in said.err.replace("hush://;", "") + said.out


def test_check_config_accepts(configs, capsys):
    write(configs, "{name: here, url: print, markets: [small]}")
    assert main(["check-config"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "alerts.yaml: here: ok"

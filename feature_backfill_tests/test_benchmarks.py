import pytest

from benchmarks.__main__ import main


@pytest.mark.parametrize(
    ("part", "figure"), [("store", "read, all columns"), ("talib", "all, times TA-Lib"), ("fetch", "one new hour")]
)
def test_a_part_prints_its_figures(capsys, part, figure):
    main([part, "--hours", "10"])
    assert figure in capsys.readouterr().out


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "there are compute, store" in capsys.readouterr().err

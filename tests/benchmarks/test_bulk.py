"""The benchmark of what is worked out for every customer of a large enterprise."""

import pytest

from benchmarks import bulk


@pytest.mark.timeout(180)
def test_everything_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert bulk.main(["--customers", "40"]) == 0
    table = capsys.readouterr().out
    for title, _ in bulk.WORK:
        assert title in table
    assert "40 customers" in table

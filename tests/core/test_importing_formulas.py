"""Cells that a spreadsheet would run as formulas."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guanxi_core.importing.formulas import guarded, unguarded

_CHARACTERS = "'=+-@\t\r\n＝＋－＠ aé华"


@given(st.text(st.sampled_from(_CHARACTERS), max_size=6) | st.text(max_size=6))
def test_what_is_guarded_comes_back_and_runs_nowhere(text: str) -> None:
    cell = guarded(text)
    assert unguarded(cell) == text
    assert not re.match("[=+\\-@\t\r\n＝＋－＠]", cell)


@pytest.mark.parametrize("text", ["", "a=b", "'t Hart", "''", "O'Neill", " =1", "华为", "1-2"])
def test_other_texts_are_left_alone(text: str) -> None:
    assert guarded(text) == unguarded(text) == text


def test_apostrophes_in_front_of_a_formula_are_counted() -> None:
    assert [guarded(text) for text in ("=1", "'=1", "''=1")] == ["'=1", "''=1", "'''=1"]

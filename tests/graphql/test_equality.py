"""Generated documents answer by the compiled path as they do by the reference executor.

GUANXI_EQUALITY=100000 compares that many documents, chosen anew in every run.
"""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from reference.laboratory import Case, Laboratory

LONG = os.environ.get("GUANXI_EQUALITY")
EXAMPLES = int(LONG or 2_000)
#: As many tests share them, so that processes can.
PARTS = 4


class Drawn(random.Random):
    """Random choices that Hypothesis makes, so that it can shrink what they lead to."""

    def __init__(self, data: st.DataObject) -> None:
        super().__init__()
        self._integer = data.conjecture_data.draw_integer  # without a line for each in the report

    def random(self) -> float:
        return self._integer(0, 99) / 100

    def _randbelow(self, n: int) -> int:
        return self._integer(0, n - 1)


def _part(number: int) -> Callable[..., Any]:
    @pytest.mark.timeout(max(300, EXAMPLES))
    @settings(
        max_examples=EXAMPLES // PARTS,
        phases=set(Phase) - {Phase.explain},  # a trace of every line would take minutes
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    async def compare(laboratory: Laboratory, data: st.DataObject) -> None:
        case = await laboratory.case(Drawn(data))
        note(repr(case))
        assert await laboratory.difference(case) is None

    return compare if LONG else seed(number)(compare)


test_documents_answer_as_the_reference_does_1 = _part(1)
test_documents_answer_as_the_reference_does_2 = _part(2)
test_documents_answer_as_the_reference_does_3 = _part(3)
test_documents_answer_as_the_reference_does_4 = _part(4)


@pytest.mark.parametrize(
    ("may", "asked"),
    [
        ("lab.read", "researchers(orderBy: [ACTIVE_ASC, DEPOSIT_ASC], first: $n)"),
        ("lab.secrets", "secretsAggregate(groupBy: [KEEPER], first: $n)"),
    ],
)
async def test_of_two_faults_either_is_told(laboratory: Laboratory, may: str, asked: str) -> None:
    document = f"query ($n: Int) {{ {asked} {{ __typename }} }}"
    case = Case(0, frozenset({may}), True, document, [{"n": -1}])
    assert await laboratory.difference(case) is None

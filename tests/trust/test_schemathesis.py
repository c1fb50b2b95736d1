"""Schemathesis asks everything that the schema offers, over HTTP, and finds nothing."""

import asyncio
import datetime as dt
from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.graphql import nodes

from figures import LONG, Figure
from guanxi_customers import Customers
from guanxi_tiers import Tiers
from listening import asking

CASES = 3_000 if LONG else 25
#: What may be wrong with a document that fits the schema: its size, a value, a cursor.
REFUSED = {"NOT_FOUND", "LIMIT_EXCEEDED", "INVALID", "BAD_REQUEST"}
#: After which hardly anything of the rest would be answered; test_request_rules.py asks it.
LIMITING = "Mutation.setRequestRules"
SCALARS = {
    "Date": st.dates().map(dt.date.isoformat),
    "DateTime": st.datetimes(timezones=st.just(dt.UTC)).map(dt.datetime.isoformat),
    "Decimal": st.decimals(-(10**12), 10**12, places=2).map(str),
}
for name, texts in SCALARS.items():
    schemathesis.graphql.scalar(name, texts.map(nodes.String))


@pytest.mark.timeout(3600 if LONG else 120)
async def test_nothing_is_found(guanxi: Any, figure: Figure) -> None:
    app = await guanxi(Customers(), *([Tiers()] if LONG else []))
    async with asking(app) as client:
        headers = {"authorization": client.headers["authorization"], "guanxi-reason": "a test"}
        seen = await asyncio.to_thread(explore, f"{client.base_url}/graphql", headers)
    assert seen["answered"] > CASES / 3, seen
    figure(11, "schemathesis finds nothing", f"{seen.total()} requests, {dict(seen)}")


def explore(url: str, headers: dict[str, str]) -> Counter[str]:
    schema = schemathesis.graphql.from_url(url, headers=headers)
    schema = schema.exclude(name=LIMITING)
    seen: Counter[str] = Counter()

    @given(case=schema.as_strategy())
    @settings(
        max_examples=CASES, deadline=None, derandomize=not LONG, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case: Any) -> None:
        answer = case.call(headers=headers)
        errors = answer.json().get("errors", [])
        codes = {error["extensions"]["code"] for error in errors}
        if not errors:  # it takes a refusal within an answer for a broken server
            case.validate_response(answer)
        assert answer.status_code == 200
        assert codes <= REFUSED
        seen.update(codes or ["answered"])

    ask()
    return seen

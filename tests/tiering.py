"""Customers with tiers, for tests of the tiers plugin and of those that stand on it."""

import datetime as dt
from typing import Any

from guanxi_customers import Customer, Customers, Purchase
from guanxi_sdk import Money, Plugin
from guanxi_sdk.testing import App, Boot, global_id
from guanxi_tiers import Tiers, TierSettings

NOW = dt.datetime(2024, 3, 1, 8, tzinfo=dt.UTC)

CLASSIFY = """mutation ($asOf: Date, $where: CustomerWhere) {
  classifyCustomers(asOf: $asOf, where: $where) {
    result { asOf classified changed byTier { tier count } } errors { path code message } } }"""
CHANGED = """mutation { classifyChangedCustomers {
    result { asOf classified changed byTier { tier count } } errors { path code message } } }"""
OVERRIDE_TIER = """mutation ($id: ID!, $tier: Tier!, $reason: String!, $until: Date) {
  overrideTier(customerId: $id, tier: $tier, reason: $reason, until: $until) {
    customer { tier tierOverrideUntil } errors { path code message } } }"""
TIERS = """query ($day: Date) { customers(orderBy: CODE_ASC, first: 200) { edges { node {
    code tier tierOn(day: $day) tierScore tierConfidence tierStrategy tierVersion tieredAsOf
    tierReasons { code message messageZh } } } } }"""


async def booted(
    guanxi: Boot,
    settings: TierSettings | None = None,
    *others: Plugin[Any],
    currency: str = "CNY",
    now: dt.datetime = NOW,
) -> App:
    """A tenant with customers, tiers and maybe more."""
    return await guanxi(Customers(), Tiers(settings), *others, currency=currency, now=now)


async def customer(app: App, code: str = "C1", **values: Any) -> Customer:
    """A customer."""
    return await app.add(Customer(code=code, name=f"客户 {code}", **values))


async def buy(app: App, of: Customer, day: str, amount: str, currency: str = "CNY") -> Purchase:
    """A purchase."""
    code = f"{of.code} {day} {amount} {currency}"
    when, money = dt.date.fromisoformat(day), Money.parse(amount, currency)
    return await app.add(Purchase(code=code, customer_id=of.id, ordered_on=when, amount=money))


async def assess(app: App, of: Customer, day: str = "2024-01-01", **values: float) -> None:
    """Assessments by the names of their inputs."""
    document = """mutation ($in: CreateTierAssessmentInput!) {
        createTierAssessment(input: $in) { errors { path message } } }"""
    for name, value in values.items():
        given = {"customerId": global_id(of), "input": name, "value": value, "assessedOn": day}
        answer = await app.graphql(document, **{"in": given})
        assert answer["createTierAssessment"]["errors"] == []


async def triage(app: App, of: Customer, found: str, day: str = "2024-01-01") -> None:
    """How clear the customer's need was found to be."""
    document = """mutation ($in: CreateNeedTriageInput!) {
        createNeedTriage(input: $in) { errors { path message } } }"""
    given = {"customerId": global_id(of), "triage": found, "triagedOn": day}
    assert (await app.graphql(document, **{"in": given}))["createNeedTriage"]["errors"] == []


async def done(app: App, document: str, **variables: Any) -> Any:
    """The result of a mutation that must not be refused, whatever its payload calls it."""
    (payload,) = (await app.graphql(document, **variables)).values()
    assert payload.pop("errors") == []
    (result,) = payload.values()
    return result


async def classify(app: App, **variables: Any) -> Any:
    """Classify, and what that answers."""
    return await done(app, CLASSIFY, **variables)


async def tiers(app: App, field: str = "tier", day: str | None = None) -> dict[str, Any]:
    """A field of every customer by code."""
    answer = await app.graphql(TIERS, day=day)
    nodes = [edge["node"] for edge in answer["customers"]["edges"]]
    return {node["code"]: node[field] for node in nodes}


async def standing(app: App, of: Customer) -> Any:
    """All that is in force for a customer."""
    answer = await app.graphql(TIERS)
    (found,) = [e["node"] for e in answer["customers"]["edges"] if e["node"]["code"] == of.code]
    return found


def codes(found: Any) -> list[str]:
    """The codes of the reasons."""
    return [reason["code"] for reason in found["tierReasons"]]

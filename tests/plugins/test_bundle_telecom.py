"""The telecom bundle: it applies, and its customers come out in all four tiers."""

import json
import re
import secrets
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from guanxi_core.bundles import create_tenant_with_bundle, discover_bundles
from guanxi_core.discovery import Registry
from guanxi_core.platform import Platform
from guanxi_customers import Activity, Customer, Employee, Office, Person, Purchase, Stewardship
from guanxi_customers import Customers as CustomersPlugin
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk.testing.databases import ThrowAwayDatabase
from guanxi_tiers import Standing, Tier, Tiers


async def test_telecom(guanxi_database: ThrowAwayDatabase) -> None:
    await guanxi_database.prepare([CustomersPlugin, Tiers])
    registry = Registry({"customers": CustomersPlugin, "tiers": Tiers})
    bundle = discover_bundles().get("telecom")
    assert (bundle.title.zh, bundle.title.en) == ("电信", "Telecom")
    async with await Platform.open(
        guanxi_database.app_url, registry=registry, pool_size=2
    ) as platform:
        name = f"telecom-{secrets.token_hex(4)}"
        tenant = await create_tenant_with_bundle(platform, name, bundle)
        access = await platform.system_access(tenant)
        async with platform.context(access) as ctx:
            standings = list(await ctx.db.scalars(sa.select(Standing)))
            customers = list(await ctx.db.scalars(sa.select(Customer)))
            counts = {
                model: await ctx.db.scalar(sa.select(sa.func.count()).select_from(model))
                for model in (Office, Employee, Person, Purchase, Activity)
            }
            primary = list(
                await ctx.db.scalars(
                    sa.select(Stewardship.customer_id).where(
                        Stewardship.is_primary, Stewardship.ends_on.is_(None)
                    )
                )
            )
            purchases = list(await ctx.db.scalars(sa.select(Purchase)))
        dashboard = await _dashboard(platform, access)
    assert 40 <= len(customers) <= 60
    _check_dashboard(dashboard, customers, purchases)
    assert all(customer.name and customer.name_en for customer in customers)
    assert counts[Office] == 6
    assert counts[Person] >= 150
    assert counts[Purchase] >= 500
    assert counts[Activity] >= 100

    tiers = Counter(standing.tier for standing in standings)
    assert set(tiers) == set(Tier)
    assert min(tiers.values()) >= 5
    capped = [s for s in standings if any(r.code == "ARREARS" for r in s.tier_reasons or ())]
    assert {standing.tier for standing in capped} == {Tier.B}
    assert any((standing.tier_confidence or 0) < 0.5 for standing in standings)

    assert Counter(primary) == Counter(customer.id for customer in customers)
    assert tenant.currency == "CNY"


async def _dashboard(platform: Platform, access: Any) -> Any:
    """What the query `Dashboard` in the guide for frontends answers."""
    guide = (Path(__file__).parents[2] / "docs" / "frontends.md").read_text("utf-8")
    [document] = re.findall(
        r"^```graphql\n(query Dashboard.*?)^```$", guide, re.DOTALL | re.MULTILINE
    )
    reply = await Engine(platform).execute(access, document, {})
    answer = json.loads(reply.body)
    assert "errors" not in answer, answer
    return answer["data"]


def _check_dashboard(found: Any, customers: list[Customer], purchases: list[Purchase]) -> None:
    """The figures are those of the rows."""
    aggregate = found["customersAggregate"]
    assert aggregate["count"] == len(customers)
    assert len(aggregate["groups"]) == min(aggregate["groupCount"], 20)
    assert len({json.dumps(group["key"]) for group in aggregate["groups"]}) > 5
    months: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for purchase in purchases:
        month = purchase.ordered_on.replace(day=1).isoformat()
        months[month][purchase.amount.currency] += purchase.amount.minor
    by_month = {
        group["key"]["orderedOn"]: {
            entry["currency"]: Decimal(entry["sum"]["amount"]) * 100
            for entry in group["values"]["amount"]
        }
        for group in found["purchasesAggregate"]["groups"]
    }
    assert by_month == months
    assert list(by_month) == sorted(months)
    codes = [entry["currency"] for entry in found["purchasesAggregate"]["values"]["amount"]]
    assert codes == sorted({purchase.amount.currency for purchase in purchases})
    assert len(codes) > 1

"""The telecom bundle: it applies, and its customers come out in all four tiers."""

import secrets
from collections import Counter

import sqlalchemy as sa

from guanxi_core.bundles import create_tenant_with_bundle, discover_bundles
from guanxi_core.discovery import Registry
from guanxi_core.platform import Platform
from guanxi_customers import Activity, Customer, Employee, Office, Person, Purchase, Stewardship
from guanxi_customers import Customers as CustomersPlugin
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
    assert 40 <= len(customers) <= 60
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

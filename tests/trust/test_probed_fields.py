"""Custom fields under the probe of tenants: canaries in every value, everything asked."""

from typing import Any
from uuid import UUID

import pytest
from with_contacts import Contact, Contacts

from guanxi_core.custom import keeping
from guanxi_core.custom.definitions import Definition
from guanxi_sdk import Tenant
from guanxi_sdk.testing import Boot
from guanxi_sdk.testing.probes.filling import Filled
from guanxi_sdk.testing.probes.world import World

OWN, KEPT, COUNT = (
    Definition("Contact", "ownWord", "text", "A word."),
    Definition("Contact", "keptWord", "text", "A word that is kept.", (), "CONFIDENTIAL"),
    Definition("Contact", "ownCount", "int", "A number."),
)


async def test_nobody_reaches_custom_fields_of_another_tenant(
    guanxi: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, fill = World._tenant, Filled.store

    async def defined(self: World) -> Tenant:
        tenant = await make(self)
        async with self.platform.pool.connection(tenant.id) as connection:
            await keeping.store(connection, tenant.id, [OWN, KEPT, COUNT])
        return tenant

    async def valued(self: Filled, connection: Any, tenant_id: UUID, shared: Any) -> None:
        await fill(self, connection, tenant_id, shared)
        for number in range(1, self.rows + 1):
            row_id, word = self.uuid(Contact, number), self.text(number)
            await connection.executemany(
                "INSERT INTO guanxi_custom_value (tenant_id, field, id, kind, revision, text, int) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7)",
                [
                    (tenant_id, OWN.key, row_id, OWN.kind, OWN.revision, word, None),
                    (tenant_id, KEPT.key, row_id, KEPT.kind, KEPT.revision, word, None),
                    (tenant_id, COUNT.key, row_id, COUNT.kind, COUNT.revision, None, number),
                ],
            )

    monkeypatch.setattr(World, "_tenant", defined)
    monkeypatch.setattr(Filled, "store", valued)
    report = await guanxi.probe_tenants(Contacts())
    wanted = {"Contact.ownWord", "Contact.keptWord", "Contact.ownCount"}
    assert wanted <= report.known
    assert wanted <= report.used

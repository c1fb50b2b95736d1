"""The example for company names: a long file without a header, imported in few statements."""

from pathlib import Path

import msgspec

from guanxi_core.importing import Document, ImportResult, import_file, plan_import
from guanxi_customers import Customers
from guanxi_sdk.testing import App, Boot
from guanxi_sdk.testing.probes.world import Statements

MAPPING = Path(__file__).parents[2] / "examples" / "company-names.toml"
ROWS = 40_000
CHUNK = 10_000
STATEMENTS = 200  # of one import, at most; some tell how far it is, by the second
_CITIES = ("深圳", "苏州", "Øresund", "成都", "São Paulo", "广州", "Leeds", "西安")
_TRADES = ("通信", "光电", "Textiles", "精密机械", "新材料", "Foods", "物流")
_FORMS = ("有限公司", "股份有限公司", "集团", " & Sons Ltd.", " GmbH")


def company_names(count: int) -> list[str]:
    """Names of companies that do not exist, all different."""
    return [
        f"{_CITIES[n % 8]}{chr(0x4E00 + n % 5_000)}{n // 5_000}{_TRADES[n % 7]}{_FORMS[n % 5]}"
        for n in range(count)
    ]


async def load(app: App, file: Path) -> ImportResult:
    access = await app.access()
    models = access.installation.edition.models.values()
    plan = plan_import("customers", models, Document.read(MAPPING))
    return await import_file(app.platform, access, plan, file)


def counts(result: ImportResult) -> list[int]:
    return [result.total(what) for what in ("created", "updated", "unchanged", "rejected")]


async def test_forty_thousand_names(guanxi: Boot, tmp_path: Path) -> None:
    """All are in, once; each chunk of 10,000 leaves one audit record and one event.

    The goal is 20,000 rows a second, which ``python -m benchmarks --only import`` measures. What is
    counted here does not depend on what else the machine does: a loader that fell back to a
    statement for each row sends 40,000.
    """
    app = await guanxi(Customers())
    sent = Statements(app.platform)
    names = company_names(ROWS)
    file = tmp_path / "names.txt"
    file.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")

    first = await load(app, file)
    assert counts(first) == [ROWS, 0, 0, 0]
    assert 0 < sent.count < STATEMENTS

    second = await load(app, file)
    assert counts(second) == [0, 0, ROWS, 0]
    assert sent.count < 2 * STATEMENTS

    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT id, code, name, version FROM customers_customer ORDER BY id"
        )
        audit = await connection.fetch(
            "SELECT changes FROM guanxi_audit WHERE action = 'customers.customer.import' "
            "ORDER BY id"
        )
        outbox = await connection.fetch(
            "SELECT name, payload FROM guanxi_outbox WHERE name NOT LIKE 'Job%' ORDER BY id"
        )
    assert sorted(row["name"] for row in rows) == sorted(names)
    assert {(row["code"] == row["name"], row["version"]) for row in rows} == {(True, 1)}

    ids = {row["name"]: str(row["id"]) for row in rows}
    chunks = [
        (CHUNK, ids[names[start]], ids[names[start + CHUNK - 1]]) for start in range(0, ROWS, CHUNK)
    ]
    assert [(r["name"], msgspec.json.decode(r["payload"])) for r in outbox] == [
        ("CustomersImported", {"count": n, "first": a, "last": b}) for n, a, b in chunks
    ]
    assert [msgspec.json.decode(r["changes"]) for r in audit] == [
        {"count": [None, n], "first": [None, a], "last": [None, b]} for n, a, b in chunks
    ]

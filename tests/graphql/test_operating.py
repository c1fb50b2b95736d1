"""At the command line: operations, limits, and how two schemas differ."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from graphql import build_schema

from commanding import Guanxi, commanding
from databases import Scratch
from guanxi_core.api_tokens import authenticate
from guanxi_core.database.pool import TenantPool
from guanxi_core.operations import digest_of
from guanxi_graphql.comparing import compare

NAMES = "query Names { customers(first: 3) { edges { node { name } } } }"
TIERS = "query Tiers { customers(first: 3) { edges { node { tier tierScore } } } }"


@pytest.fixture
def guanxi(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    database: Scratch,
) -> Guanxi:
    return commanding(tmp_path, monkeypatch, capfdbinary, database.app_url)


def test_operations_from_registration_to_removal(
    guanxi: Guanxi, database: Scratch, tmp_path: Path
) -> None:
    enable = ("--enable", "customers", "--enable", "tiers")
    assert guanxi("tenant", "create", "acme", *enable).status == 0
    (tmp_path / "names.graphql").write_text(NAMES)
    (tmp_path / "app.json").write_text(
        json.dumps({digest_of(TIERS): TIERS, digest_of(NAMES): NAMES})
    )
    of = ("--tenant", "acme")
    made = guanxi("operations", "register", "names.graphql", *of)
    assert (made.status, made.err) == (0, "")
    assert (
        made.out
        == f"{digest_of(NAMES)}  query Names\n1 registered for tenant 'acme', 0 were already.\n"
    )
    assert (
        "1 registered for tenant 'acme', 1 were already"
        in guanxi("operations", "register", "app.json", "names.graphql", *of).out
    )
    (tmp_path / "wrong.graphql").write_text("query Wrong { customers { wrong } }")
    wrong = guanxi("operations", "register", "wrong.graphql", *of)
    assert (wrong.status, wrong.out) == (1, "")
    assert "Cannot query field 'wrong'" in wrong.err
    listed = json.loads(guanxi("operations", "list", *of, "--json").out)
    assert [(o["name"], o["kind"], o["document"]) for o in listed] == [
        ("Names", "query", NAMES), ("Tiers", "query", TIERS),
    ]  # fmt: skip
    # A token that is bound to one of them.
    token = guanxi("token", "create", *of, "--role", "readonly", "--operation", "Names").out.strip()
    assert asyncio.run(_bound(database, token)) == {digest_of(NAMES)}
    unknown = guanxi("token", "create", *of, "--operation", "Nobody")
    assert (unknown.status, unknown.out) == (1, "")
    assert "guanxi operations list --tenant acme" in unknown.err
    tokens = json.loads(guanxi("token", "list", *of, "--json").out)
    assert [t["operations"] for t in tokens] == [[digest_of(NAMES)]]
    # What would break.
    dry = guanxi("disable", "tiers", *of, "--dry-run")
    assert "! breaks operation Tiers" in dry.out
    assert "Names" not in dry.out
    plan = json.loads(guanxi("disable", "tiers", *of, "--dry-run", "--json").out)
    assert [one["sha256"] for one in plan["broken_operations"]] == [digest_of(TIERS)]
    diff = guanxi("schema", "diff", *of, "--disable", "tiers")
    assert diff.status == 1
    assert "Breaking:\n" in diff.out
    assert "  Customer.tier was removed." in diff.out
    assert "Broken registered operations:\n  ! Tiers" in diff.out
    assert guanxi("operations", "check", *of).status == 0
    assert guanxi("disable", "tiers", *of).status == 0
    broken = guanxi("operations", "check", *of)
    assert broken.status == 1
    assert "1 of 2 registered operations are broken." in broken.out
    gone = guanxi("operations", "remove", "Tiers", digest_of(NAMES), *of)
    assert gone.out.count(" removed.\n") == 2
    assert json.loads(guanxi("operations", "list", *of, "--json").out) == []
    assert guanxi("operations", "remove", "Tiers", *of).status == 1


async def _bound(database: Scratch, token: str) -> set[str]:
    pool = await TenantPool.open(database.app_url, size=1)
    try:
        identity = await authenticate(pool, token)
    finally:
        await pool.close()
    assert identity is not None
    assert identity.operations is not None
    return set(identity.operations)


def test_limits_within_the_operators_ceiling(
    guanxi: Guanxi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert guanxi("tenant", "create", "bounded").status == 0
    of = ("--tenant", "bounded")
    shown = json.loads(guanxi("limits", *of, "--json").out)
    assert {one["name"]: (one["value"], one["own"]) for one in shown["limits"]}["depth"] == (
        12,
        False,
    )
    assert shown["only_registered"] is False
    changed = guanxi("limits", *of, "--set", "depth=9", "--set", "cost=100000", "--only-registered")
    assert changed.status == 0
    assert "Only registered operations are answered." in changed.out
    (tmp_path / "guanxi.toml").write_text("[limits]\ndepth = 8\ncost = 200000\n")
    shown = json.loads(guanxi("limits", *of, "--json").out)
    found = {one["name"]: (one["value"], one["most"]) for one in shown["limits"]}
    assert (found["depth"], found["cost"]) == ((8, 8), (100_000, 200_000))
    refused = guanxi("limits", *of, "--set", "depth=9")
    assert refused.status == 1
    assert "depth" in refused.err
    assert "from 3 to 8" in refused.err
    back = guanxi("limits", *of, "--set", "cost=0", "--any-operation")
    assert "Any operation is answered." in back.out
    for wrong in ("depth", "depth=x", "nothing=5", "depth=-1"):
        assert guanxi("limits", *of, "--set", wrong).status == 2
    for wrong, told in (
        ("depth = 99", "from 1 to 50"),
        ("deep = 5", "unknown"),
        ("cost = 'x'", "whole"),
    ):
        (tmp_path / "guanxi.toml").write_text(f"[limits]\n{wrong}\n")
        assert told in guanxi("limits", *of).err
    (tmp_path / "guanxi.toml").unlink()
    monkeypatch.setenv("GUANXI_LIMITS", '{"depth": 7}')
    assert "from 3 to 7" in guanxi("limits", *of, "--set", "depth=8").err


def test_a_schema_is_compared_with_one_that_was_printed(guanxi: Guanxi, tmp_path: Path) -> None:
    assert guanxi("tenant", "create", "printed", "--enable", "customers").status == 0
    of = ("--tenant", "printed")
    printed = guanxi("schema", *of)
    (tmp_path / "before.graphql").write_text(printed.out)
    same = guanxi("schema", "diff", *of, "--since", "before.graphql")
    assert (same.status, same.out) == (0, "The schemas are alike.\n")
    more = guanxi("schema", "diff", *of, "--enable", "tiers", "--json")
    assert more.status == 0
    found = json.loads(more.out)
    assert {one["severity"] for one in found["changes"]} == {"dangerous", "safe"}
    assert "Customer.tier was added." in [one["description"] for one in found["changes"]]
    assert guanxi("schema", "diff", *of, "--enable", "tiers", "--strict").status == 1
    (tmp_path / "before.graphql").write_text(printed.out + "\ntype Former { id: ID }\n")
    less = guanxi("schema", "diff", *of, "--since", "before.graphql")
    assert (less.status, less.out) == (1, "Breaking:\n  Former was removed.\n")
    assert guanxi("schema", "diff", *of).status == 2
    assert guanxi("schema").status == 2
    (tmp_path / "before.graphql").write_text("type Query {")
    assert (
        "holds no GraphQL schema" in guanxi("schema", "diff", *of, "--since", "before.graphql").err
    )
    assert guanxi("schema", "diff", *of, "--disable", "tiers").status == 1
    for plugin in ("tiers", "relationships"):
        assert guanxi("enable", plugin, *of).status == 0
    needed = guanxi("schema", "diff", *of, "--disable", "tiers").err
    assert "plugin 'relationships' requires 'tiers': add --disable relationships." in needed
    both = guanxi("schema", "diff", *of, "--disable", "tiers", "--disable", "relationships").out
    assert "  Customer.keyScore was removed." in both


BEFORE = """
type Query { gone: Int tight(a: Int, b: Int!): Int! loose: Int "said" told: Int }
input Given { was: Int! } enum Letter { A B } type Former { id: ID } interface Named { name: ID }
"""
AFTER = """
type Query {
  tight(a: Int!, b: Int, c: Int): Int loose: Int! "other" told: Int @deprecated new: Later
}
input Given { was: Int is: Int must: Int! } enum Letter { A C } type Later { id: ID }
interface Named { name: ID more: ID } directive @mark on FIELD
"""
EXPECTED = {
    "breaking": [
        "Query.gone was removed.", "Query.tight changed type from Int! to Int.",
        "Query.tight arg a has changed type from Int to Int!.", "Former was removed.",
        "B was removed from enum type Letter.",
        "A required field must on input type Given was added.",
    ],
    "dangerous": [
        "C was added to enum type Letter.", "An optional field is on input type Given was added.",
        "An optional arg c on Query.tight was added.",
    ],
    "safe": [
        "Query.loose changed type from Int to Int!.",
        "Query.tight arg b changed type from Int! to Int.",
        "Query.new was added.", "Later was added.", "Named.more was added.", "@mark was added.",
        "Given.was changed type from Int! to Int.", "Query.told is described otherwise.",
        "Query.told is deprecated.",
    ],
}  # fmt: skip


def test_every_difference_is_of_one_kind() -> None:
    changes = compare(build_schema(BEFORE), build_schema(AFTER))
    found: dict[str, list[str]] = {}
    for change in changes:
        found.setdefault(change.severity, []).append(change.description)
    assert list(found) == ["breaking", "dangerous", "safe"]
    assert {kind: sorted(texts) for kind, texts in found.items()} == {
        kind: sorted(texts) for kind, texts in EXPECTED.items()
    }
    assert compare(build_schema(AFTER), build_schema(AFTER)) == []


PRINT = """
from guanxi_core.editions import compose
from guanxi_customers import Customers
from guanxi_graphql.schema import sdl
from guanxi_tiers import Tiers
import sys
plugins = [Customers, Tiers]
print(sdl(compose(reversed(plugins) if sys.argv[1:] else plugins)))
"""


def test_a_printed_schema_is_the_same_in_every_process() -> None:
    printed = [
        subprocess.Popen(
            [sys.executable, "-c", PRINT, *arguments], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        for seed, arguments in (("1", []), ("2", ["reversed"]))
    ]  # fmt: skip
    first, second = (process.communicate(timeout=120)[0] for process in printed)
    assert first == second
    names = [
        line.split()[1]
        for line in first.splitlines()
        if line.partition(" ")[0] in ("type", "enum", "input", "interface", "scalar")
    ]
    assert len(names) > 100
    assert names == sorted(names)

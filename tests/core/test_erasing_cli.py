"""``guanxi erase``: asked before anything is done, and what it prints."""

import json
from pathlib import Path

import pytest

from commanding import Guanxi, commanding
from databases import Scratch


@pytest.fixture
def guanxi(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    database: Scratch,
) -> Guanxi:
    """``guanxi("erase", …)`` on the module's database; ``typed`` is what somebody answers."""
    return commanding(tmp_path, monkeypatch, capfdbinary, database.app_url)


@pytest.fixture
def user(guanxi: Guanxi, request: pytest.FixtureRequest) -> tuple[str, str]:
    """The id of a user called Ada, and the tenant."""
    tenant = f"t{abs(hash(request.node.name)) % 10**9}"
    assert guanxi("tenant", "create", tenant, "--enable", "customers").status == 0
    created = guanxi("user", "create", "Ada", "--tenant", tenant, "--email", "ada@example.com")
    assert created.status == 0
    assert guanxi("user", "create", "Boss", "--tenant", tenant, "--role", "admin").status == 0
    users = json.loads(guanxi("user", "list", "--tenant", tenant, "--json").out)
    return next(f"user_{one['id']}" for one in users if one["name"] == "Ada"), tenant


def names(guanxi: Guanxi, tenant: str) -> set[str]:
    listed = guanxi("user", "list", "--tenant", tenant, "--json").out
    return {one["name"] for one in json.loads(listed)}


def test_it_shows_what_would_be_erased_and_asks(guanxi: Guanxi, user: tuple[str, str]) -> None:
    person, tenant = user
    command = ("erase", person, "--tenant", tenant, "--reason", "request 17")
    stopped = guanxi(*command, typed="n\n")
    assert stopped.status == 130
    assert stopped.out.splitlines()[0] == f"Would be erased: {person}"
    assert stopped.out.splitlines()[1:3] == [
        "WHAT            DELETED  BLANKED  FIELDS",
        "User            0        1        email, name",
    ]
    assert "audit entries            1" in stopped.out
    assert "Erase this for good? [y/N]" in stopped.err
    assert names(guanxi, tenant) == {"Ada", "Boss"}
    done = guanxi(*command, typed="y\n")
    assert (done.status, done.out.splitlines()[-1]) == (0, "Erased.")
    assert names(guanxi, tenant) == {f"erased-{person[5:]}", "Boss"}
    verified = guanxi("audit", "verify", "--tenant", tenant)
    assert verified.status == 0
    assert "The content of 1 was erased" in verified.out


def test_scripts_get_json(guanxi: Guanxi, user: tuple[str, str]) -> None:
    person, tenant = user
    command = ("erase", person, "--tenant", tenant, "--json")
    tried = guanxi(*command, "--dry-run")
    assert tried.status == 0
    report = json.loads(tried.out)
    assert (report["subjects"], report["dry_run"]) == ([person], True)
    assert report["rows"] == [
        {"model": "User", "deleted": 0, "blanked": 1, "fields": ["email", "name"]}
    ]
    done = json.loads(guanxi(*command, "--reason", "request 17", "--yes").out)
    assert {**done, "dry_run": True} == report


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["--yes"], 2, "Give --reason, which the audit keeps, or --dry-run."),
        (["--reason", "17", "--json"], 2, "give --yes or --dry-run."),
        (["--reason", "Ada asked", "--yes"], 1, "The reason names the person"),
    ],
)
def test_what_is_missing_is_said(
    guanxi: Guanxi, user: tuple[str, str], arguments: list[str], status: int, complaint: str
) -> None:
    person, tenant = user
    refused = guanxi("erase", person, "--tenant", tenant, *arguments)
    assert (refused.status, refused.err.count("\n")) == (status, 1)
    assert complaint in refused.err
    assert names(guanxi, tenant) == {"Ada", "Boss"}


def test_an_id_of_nobody_is_not_found(guanxi: Guanxi, user: tuple[str, str]) -> None:
    _, tenant = user
    refused = guanxi("erase", "person_1", "--tenant", tenant, "--reason", "17", "--yes")
    assert (refused.status, refused.err) == (1, "guanxi: id does not exist\n")

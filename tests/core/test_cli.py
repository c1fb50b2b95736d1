"""The command line: what it prints, what it says when something is wrong, and its exit status."""

import errno
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import rich_click as click

from commanding import Guanxi, Outcome, commanding
from databases import Databases, Scratch
from guanxi_core import cli
from guanxi_core.api_tokens import authenticate
from guanxi_core.database.pool import TenantPool
from guanxi_core.discovery import Registry
from guanxi_core.migrations.scripts import core_scripts
from plugin_packages import Packages


@pytest.fixture
def guanxi(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Guanxi:
    """``guanxi("tenant", "list")`` in an empty folder, without the tests' own environment."""
    return commanding(tmp_path, monkeypatch, capfdbinary)


@pytest.fixture
def external(guanxi: Guanxi, database: Scratch, monkeypatch: pytest.MonkeyPatch) -> Guanxi:
    """The same, on the module's migrated database."""
    monkeypatch.setenv("GUANXI_DATABASE_URL", database.app_url)
    return guanxi


@pytest.fixture
async def empty(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scratch]:
    """A database without any table, in the environment of both roles."""
    made = await databases.fresh()
    monkeypatch.setenv("GUANXI_DATABASE_URL", made.app_url)
    monkeypatch.setenv("GUANXI_OWNER_DATABASE_URL", made.owner_url)
    yield made
    await databases.drop(made)


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    made = Packages(tmp_path)
    yield made
    made.close()


def installed(monkeypatch: pytest.MonkeyPatch, *plugins: Any, **broken: str) -> None:
    """Let these plugins, and no others, be installed."""
    registry = Registry({plugin.manifest.name: plugin for plugin in plugins}, broken)
    modules = ("guanxi_core.doctor", "guanxi_core.cli.opening", "guanxi_core.platform")
    for module in modules:  # before the function is replaced, or they would keep the other
        __import__(module)
    for module in ("guanxi_core.discovery", *modules):
        monkeypatch.setattr(f"{module}.discover", lambda: registry)


def one_line(outcome: Outcome, status: int = 1) -> str:
    """The complaint, which must be a single line on standard error and nothing else."""
    assert outcome.status == status, outcome
    assert outcome.err.startswith("guanxi: ")
    assert outcome.err.count("\n") == 1
    return outcome.err.removeprefix("guanxi: ").strip()


# The front page


def test_help_lists_every_command_and_loads_next_to_nothing():
    script = (
        "import sys; from guanxi_core.cli import main; sys.argv = ['guanxi', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'asyncpg', 'alembic', 'litestar', 'graphql', 'guanxi_sdk'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    for command in cli._COMMANDS:
        assert re.search(rf"^\W*{command}\s", done.stdout, re.M), command


@pytest.mark.parametrize("name", [*cli._COMMANDS])
def test_every_command_and_subcommand_helps_with_an_example(guanxi: Guanxi, name: str):
    command = cli._load(name)
    every = {(name,): command}
    if isinstance(command, click.Group):
        every |= {(name, sub): part for sub, part in command.commands.items()}
    for path, part in every.items():
        outcome = guanxi(*path, "--help")
        assert outcome.status == 0, path
        assert f"Usage: guanxi {' '.join(path)}" in outcome.out
        assert re.search(rf"Examples?: .*guanxi.* {path[0]}", part.epilog or "", re.S), path
        assert part.help, path
        assert all(getattr(p, "help", "") for p in part.params if isinstance(p, click.Option)), path


def test_the_version_is_shown(guanxi: Guanxi):
    outcome = guanxi("--version")
    assert re.fullmatch(r"guanxi \d+\.\d+\S*\n", outcome.out)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nothing"], "No such command 'nothing'. See guanxi --help."),
        (["tenant", "nothing"], "No such command 'nothing'. See guanxi tenant --help."),
        (["token", "create"], "Missing option '--tenant'. See guanxi token create --help."),
        (["token", "revoke", "gx_1", "--tenant", "a"], "this is not the ID of a token"),
        (["token", "create", "--tenant", "a", "--expires", "1y"], "'1y' is not a duration such as"),
        (["migrate", "--new", "x"], "--new"),
        (["migrate", "--new", "x", "y", "--downgrade", "x", "base"], "--new or --downgrade"),
        (["tenant", "create", "a", "--bundle", "b", "--enable", "c"], "--bundle or --enable"),
    ],
)
def test_wrong_usage_ends_with_status_2(guanxi: Guanxi, arguments: list[str], complaint: str):
    assert complaint in one_line(guanxi(*arguments), 2)


class _Offer(EntryPoint):
    """An entry point whose command is at hand."""

    def load(self) -> Any:
        return {"good": _good, "exits": sys.exit, "text": lambda: "no command"}[self.value]()


def _good() -> click.Command:
    return click.RichCommand(name="extra", callback=lambda: click.echo("done"), help="An extra.")


def test_commands_of_other_packages_join_and_broken_ones_hide_nobody(
    guanxi: Guanxi, monkeypatch: pytest.MonkeyPatch
):
    offered = [_Offer(v, v, "guanxi.commands") for v in ("good", "exits", "text", "missing")]

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [entry for entry in offered if name in (None, entry.name)]

    monkeypatch.setattr(cli, "entry_points", entry_points)
    outcome = guanxi("good")
    assert (outcome.status, outcome.out) == (0, "done\n")
    outcome = guanxi("--help")
    assert outcome.status == 0
    assert "Broken: SystemExit" in outcome.out
    assert "tenant" in outcome.out
    for name, reason in (("exits", "SystemExit"), ("missing", "KeyError"), ("text", "click")):
        assert reason in one_line(guanxi(name, "--any", "thing"))


@pytest.mark.parametrize(
    ("error", "status", "complaint"),
    [
        (OSError(errno.EADDRINUSE, "in use"), 1, "the port is in use"),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), 1, "a.csv: No such file"),
        (ZeroDivisionError("by\nzero"), 1, "ZeroDivisionError: by zero (GUANXI_DEBUG=1 shows"),
    ],
)
def test_no_error_ends_in_a_traceback(
    guanxi: Guanxi, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, complaint: str
):
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "_load", lambda name: click.RichCommand(name=name, callback=fail))
    assert complaint in one_line(guanxi("doctor"), status)
    monkeypatch.setenv("GUANXI_DEBUG", "1")
    with pytest.raises(type(error)):
        guanxi("doctor")


def test_an_interrupt_is_no_error(guanxi: Guanxi, monkeypatch: pytest.MonkeyPatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_load", lambda name: click.RichCommand(name=name, callback=interrupt))
    outcome = guanxi("doctor")
    assert (outcome.status, outcome.err.strip()) == (130, "")


# Where the database is


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("postgresql://guanxi_app:hunter2@127.0.0.1:9/x", "127.0.0.1:9/x does not answer"),
        ("mysql://guanxi_app:hunter2@127.0.0.1/guanxi", "GUANXI_DATABASE_URL must begin with"),
        ("postgresql://guanxi_app:hunter2@127.0.0.1", "GUANXI_DATABASE_URL names no database"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(
    guanxi: Guanxi, monkeypatch: pytest.MonkeyPatch, url: str, complaint: str
):
    monkeypatch.setenv("GUANXI_DATABASE_URL", url)
    outcome = guanxi("tenant", "list")
    assert complaint in one_line(outcome)
    assert "hunter2" not in outcome.err
    outcome = guanxi("doctor")
    assert outcome.status == 1
    assert complaint in outcome.out
    assert "hunter2" not in outcome.out + outcome.err


def test_a_wrong_configuration_file_is_named(guanxi: Guanxi, tmp_path: Path):
    (tmp_path / "guanxi.toml").write_text("hom = 'x'")
    assert "guanxi.toml: unknown key 'hom'" in one_line(guanxi("tenant", "list"))


def test_an_empty_external_database_is_not_touched_before_migrate(guanxi: Guanxi, empty: Scratch):
    complaint = one_line(guanxi("tenant", "create", "acme"))
    assert complaint == "the database is not up to date: run `guanxi migrate`."


def test_without_any_setting_the_embedded_database_is_ready_at_once(
    guanxi: Guanxi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GUANXI_HOME", str(tmp_path / "home"))
    installed(monkeypatch)
    assert guanxi("tenant", "create", "acme").out == "Tenant 'acme' created.\n"
    assert [row["name"] for row in json.loads(guanxi("tenant", "list", "--json").out)] == ["acme"]
    outcome = guanxi("doctor")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"embedded in {tmp_path / 'home'}" in outcome.out


# Tenants, users, tokens


async def test_from_tenant_to_token(external: Guanxi, database: Scratch):
    assert external("tenant", "create", "acme", "--currency", "USD").status == 0
    user = ("user", "create", "王芳", "--tenant", "acme", "--role", "readonly", "--email", "f@x.cn")
    assert external(*user).out == "User '王芳' created in tenant 'acme'.\n"
    listed = json.loads(external("user", "list", "--tenant", "acme", "--json").out)
    assert [(u["name"], u["roles"], u["email"]) for u in listed] == [
        ("王芳", ["readonly"], "f@x.cn")
    ]
    create = ("token", "create", "--tenant", "acme")
    created = {
        "default": external(*create),
        "user": external(*create, "--user", "王芳", "--expires", "2w"),
        "role": external(*create, "--role", "readonly"),
    }
    pool = await TenantPool.open(database.app_url, size=1)
    rights = {}
    for name, outcome in created.items():
        assert re.fullmatch(r"gx_\S{43}\n", outcome.out), outcome
        identity = await authenticate(pool, outcome.out.strip())
        assert identity is not None
        assert identity.tenant.currency == "USD"
        rights[name] = tuple(str(grant) for grant in identity.grants)
    await pool.close()
    assert rights == {"default": ("*",), "user": ("*.read",), "role": ("*.read",)}
    tokens = json.loads(external("token", "list", "--tenant", "acme", "--json").out)
    assert [t["role"] for t in tokens] == ["admin", None, "readonly"]
    assert external("token", "revoke", tokens[0]["id"], "--tenant", "acme").status == 0
    text = external("token", "list", "--tenant", "acme").out
    states = [line.split()[-1] for line in text.splitlines()]
    assert states == ["STATE", "revoked", "valid", "valid"]
    assert "gx_" not in text
    assert "is not a valid one" in one_line(
        external("token", "revoke", tokens[0]["id"], "--tenant", "acme")
    )


def test_columns_are_aligned_for_chinese_too(external: Guanxi):
    external("tenant", "create", "columns")
    for name in ("王芳", "ada"):
        external("user", "create", name, "--tenant", "columns", "--role", "admin")
    lines = external("user", "list", "--tenant", "columns").out.splitlines()
    assert [line.split("admin")[0] for line in lines[1:]] == ["ada   ", "王芳  "]


def test_what_cannot_be_done_is_said_in_one_line(external: Guanxi):
    external("tenant", "create", "taken")
    external("user", "create", "ada", "--tenant", "taken")
    for arguments, complaint in (
        (["tenant", "create", "taken"], "tenant 'taken' exists already: choose another name."),
        (["tenant", "create", "Taken"], "'Taken' is not a name: use up to 40 lower case"),
        (["tenant", "create", "new", "--currency", "yuan"], "'yuan' is not an ISO 4217 code"),
        (["tenant", "create", "new", "--enable", "nothing"], "plugin 'nothing'"),
        (["tenant", "create", "new", "--bundle", "nothing"], "bundle 'nothing' is not installed"),
        (["user", "create", "ada", "--tenant", "taken"], "user 'ada' exists already in tenant"),
        (["user", "create", "bob", "--tenant", "taken", "--role", "x"], "the roles are admin, au"),
        (["user", "create", "bob", "--tenant", "taken", "--email", "x"], "email 'x' is not an"),
        (["user", "list", "--tenant", "nobody"], "tenant 'nobody' does not exist; the tenants are"),
        (["token", "create", "--tenant", "nobody"], "tenant 'nobody' does not exist"),
        (["token", "create", "--tenant", "taken", "--role", "x"], "role 'x' does not exist; the"),
        (["token", "create", "--tenant", "taken", "--user", "x"], "user 'x' does not exist in"),
        (["token", "create", "--tenant", "taken", "--user", "ada", "--role", "admin"],
            "role 'admin' is not one that 'ada' holds; there are no roles of 'ada' yet."),
    ):  # fmt: skip
        outcome = external(*arguments)
        last = outcome.err.splitlines()[-1]
        assert outcome.status == 1, arguments
        assert last.startswith("guanxi: "), arguments
        assert complaint in last, arguments
        assert "Traceback" not in outcome.err
        assert outcome.out == ""
    names = [row["name"] for row in json.loads(external("tenant", "list", "--json").out)]
    assert "new" not in names


def test_a_tenant_is_created_with_plugins_whole_or_not_at_all(
    guanxi: Guanxi, empty: Scratch, packages: Packages, monkeypatch: pytest.MonkeyPatch
):
    ledger = packages.plugin("ledger")
    report = packages.plugin("report", requires="'ledger'")
    installed(monkeypatch, ledger, report)
    assert guanxi("migrate").status == 0
    assert "requires 'ledger', which is not enabled" in one_line(
        guanxi("tenant", "create", "acme", "--enable", "report")
    )
    assert json.loads(guanxi("tenant", "list", "--json").out) == []
    both = ("--enable", "report", "--enable", "ledger")
    assert guanxi("tenant", "create", "acme", *both).status == 0
    listed = json.loads(guanxi("tenant", "list", "--json").out)
    assert listed[0]["plugins"] == ["ledger", "report"]


# migrate and doctor


def test_migrate_tells_what_it_did(
    guanxi: Guanxi, empty: Scratch, packages: Packages, monkeypatch: pytest.MonkeyPatch
):
    ledger = packages.plugin("ledger")
    packages.revision("ledger", "0001", packages.table("ledger_t"), 'op.drop_table("ledger_t")')
    bad = packages.plugin("bad")
    packages.revision("bad", "0001", "raise RuntimeError('no')")
    child = packages.plugin("child", requires="'bad'")
    installed(monkeypatch, ledger)
    outcome = guanxi("migrate")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        f"✓ guanxi: new → {core_scripts().head()}",
        "✓ ledger: new → 0001",
    ]
    assert "✓ ledger: 0001 (up to date)" in guanxi("migrate").out
    installed(monkeypatch, ledger, bad, child, lost="ImportError: no module")
    outcome = guanxi("migrate")
    assert one_line(outcome).startswith("not migrated: bad, child, lost;")
    assert outcome.out.splitlines()[1:] == [
        "✗ bad: revision 0001: RuntimeError: no",
        "✓ ledger: 0001 (up to date)",
        "✗ child: it requires 'bad', which was not migrated",
        "✗ lost: it is broken: ImportError: no module",
    ]
    results = json.loads(guanxi("migrate", "--json").out)
    assert {r["plugin"]: r["status"] for r in results} == {
        "guanxi": "current", "bad": "failed", "child": "skipped", "ledger": "current",
        "lost": "failed",
    }  # fmt: skip
    assert guanxi("migrate", "--downgrade", "ledger", "base").out == "✓ ledger: 0001 → none\n"
    outcome = guanxi("migrate", "--downgrade", "x", "base")
    assert "no migrations of a plugin 'x'" in one_line(outcome)


def test_migrate_writes_the_next_revision(
    guanxi: Guanxi, empty: Scratch, packages: Packages, monkeypatch: pytest.MonkeyPatch
):
    model = 'class Sheet(Model):\n    """A sheet."""\n    title: Mapped[str]\n'
    installed(monkeypatch, packages.plugin("paper", model, "Sheet"))
    outcome = guanxi("migrate", "--new", "paper", "first tables")
    assert outcome.out.strip() == str(packages.versions("paper") / "0001_first_tables.py")
    assert guanxi("migrate").status == 0
    assert "lack nothing" in one_line(guanxi("migrate", "--new", "paper", "more"))
    assert "'pepper': is not installed" in one_line(guanxi("migrate", "--new", "pepper", "more"))


def test_migrate_needs_the_owner(guanxi: Guanxi, empty: Scratch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GUANXI_OWNER_DATABASE_URL")
    assert "set GUANXI_OWNER_DATABASE_URL" in one_line(guanxi("migrate"))
    monkeypatch.setenv("GUANXI_OWNER_DATABASE_URL", empty.app_url)
    assert "may not create tables" in one_line(guanxi("migrate"))
    monkeypatch.setenv("GUANXI_DATABASE_URL", empty.owner_url)
    monkeypatch.setenv("GUANXI_OWNER_DATABASE_URL", empty.owner_url)
    assert "use two roles" in one_line(guanxi("migrate"))


def test_backup_and_restore(
    guanxi: Guanxi, database: Scratch, empty: Scratch, monkeypatch: pytest.MonkeyPatch
):
    outcome = guanxi("backup", "b.zip")
    assert "there is nothing to back up: the database has no tables." in one_line(outcome)
    with monkeypatch.context() as full:
        full.setenv("GUANXI_DATABASE_URL", database.app_url)
        full.setenv("GUANXI_OWNER_DATABASE_URL", database.owner_url)
        written = json.loads(guanxi("backup", "b.zip", "--json").out)
        assert "b.zip exists already: choose another name." in one_line(guanxi("backup", "b.zip"))
    outcome = guanxi("restore", "b.zip")
    assert (outcome.status, outcome.err) == (0, "")
    done, hint = outcome.out.splitlines()[-2:]
    assert done.endswith(f"{written['rows']:,} rows restored from b.zip.")
    assert hint == "Whoever was erased since the backup was made is back: erase them again."
    assert guanxi("doctor").status == 0
    monkeypatch.delenv("GUANXI_OWNER_DATABASE_URL")
    assert "set GUANXI_OWNER_DATABASE_URL" in one_line(guanxi("backup", "c.zip"))


def checks(outcome: Outcome) -> dict[str, tuple[bool, str]]:
    return {check["name"]: (check["ok"], check["detail"]) for check in json.loads(outcome.out)}


async def test_the_doctor_finds_what_is_wrong(
    guanxi: Guanxi, empty: Scratch, packages: Packages, monkeypatch: pytest.MonkeyPatch
):
    ledger = packages.plugin("ledger")
    packages.revision("ledger", "0001", packages.table("ledger_t"))
    installed(monkeypatch, ledger)
    found = checks(guanxi("doctor", "--json"))
    assert found["migrations guanxi"] == (
        False, f"no tables yet, the newest is {core_scripts().head()}: run guanxi migrate",
    )  # fmt: skip
    guanxi("migrate")
    outcome = guanxi("doctor")
    assert (outcome.status, outcome.err) == (0, "")
    assert "✗" not in outcome.out
    assert all(ok for ok, _ in checks(guanxi("doctor", "--json")).values())
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "jaeger")
    ok, said = checks(guanxi("doctor", "--json"))["traces"]
    assert not ok
    assert "use otlp or console" in said
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert "traces" not in checks(guanxi("doctor", "--json"))
    connection = await asyncpg.connect(empty.owner_url)
    for harm, name, detail in (
        ("ALTER TABLE ledger_t NO FORCE ROW LEVEL SECURITY", "ledger", "no forced row-level"),
        ("CREATE POLICY every ON guanxi_user USING (true)", "guanxi", "not have the policy"),
        ("GRANT SELECT ON guanxi_token TO guanxi_app", "guanxi", "give guanxi_app no rights"),
        ("ALTER TABLE ledger_t ADD n text UNIQUE", "ledger", "unique key ledger_t_n_key without"),
        ("CREATE VIEW ledger_v AS SELECT * FROM ledger_t", "ledger", "view ledger_v passes"),
        ("GRANT EXECUTE ON FUNCTION guanxi_touch TO PUBLIC", "guanxi", "called by everybody"),
    ):
        await connection.execute(harm)
        ok, said = checks(guanxi("doctor", "--json"))[f"isolation {name}"]
        assert not ok
        assert detail in said
    await connection.close()
    packages.revision("ledger", "0002", packages.table("ledger_more"))
    child = packages.plugin("child", requires="'lost>=2'")
    installed(monkeypatch, ledger, child, lost="ImportError: no module")
    assert "child: requires 'lost', which is broken: install it anew." in guanxi("plugins").out
    outcome = guanxi("doctor", "--json")
    assert outcome.status == 1
    found = checks(outcome)
    assert found["migrations ledger"] == (False, "0001, the newest is 0002: run guanxi migrate")
    assert found["plugin lost"] == (False, "ImportError: no module")
    assert found["plugin child"] == (
        False,
        "requires 'lost', which is broken: install it anew.",
    )
    installed(monkeypatch)
    assert found["plugin ledger"][0]
    ok, said = checks(guanxi("doctor", "--json"))["migrations ledger"]
    assert ok
    assert "not installed; its tables are kept" in said


def test_the_doctor_looks_at_the_roles(
    guanxi: Guanxi, empty: Scratch, monkeypatch: pytest.MonkeyPatch
):
    installed(monkeypatch)
    guanxi("migrate")
    monkeypatch.setenv("GUANXI_DATABASE_URL", empty.owner_url)
    found = checks(guanxi("doctor", "--json"))
    assert found["roles"] == (False, "the app role 'guanxi_owner' owns the tables: use two roles")
    assert found["owner"] == (False, "has the app role's address: use two roles")
    monkeypatch.setenv("GUANXI_OWNER_DATABASE_URL", "postgresql://x:hunter2@127.0.0.1:9/guanxi")
    outcome = guanxi("doctor", "--json")
    assert not checks(outcome)["owner"][0]
    assert "hunter2" not in outcome.out + outcome.err


# The audit


async def test_the_audit_is_verified_against_anchors(
    external: Guanxi, database: Scratch, tmp_path: Path
):
    external("tenant", "create", "proven")
    anchors = tmp_path / "anchors.jsonl"
    for name in ("ada", "bob"):
        external("user", "create", name, "--tenant", "proven")
        anchor = external("audit", "head", "--tenant", "proven").out
        anchors.write_text(anchors.read_text() + anchor if anchors.exists() else anchor)
    assert [json.loads(line)["sequence"] for line in anchors.read_text().splitlines()] == [2, 3]
    verify = ("audit", "verify", "--tenant", "proven")
    outcome = external(*verify)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("The audit of 'proven' is whole: 3 entries.\nWithout --against")
    external("user", "create", "cleo", "--tenant", "proven")
    outcome = external(*verify, "--against", str(anchors), "--json")
    found = json.loads(outcome.out)
    assert (outcome.status, found["entries"], found["unsealed"], found["anchors"]) == (0, 3, 1, 2)
    connection = await asyncpg.connect(database.owner_url)
    tenant = json.loads(anchors.read_text().splitlines()[0])["tenant_id"]
    await connection.execute(
        f"BEGIN; SET LOCAL guanxi.tenant = '{tenant}'; DELETE FROM guanxi_audit_link "
        f"WHERE tenant_id = '{tenant}' AND sequence = 3; "
        f"DELETE FROM guanxi_audit_sealed WHERE tenant_id = '{tenant}'; COMMIT"
    )
    await connection.close()
    assert external(*verify).status == 0
    outcome = external(*verify, "--against", str(anchors))
    assert outcome.status == 1
    assert outcome.out.startswith("Entry 3 of the audit of 'proven' is broken: the chain was cut")
    anchors.write_text("{}")
    assert "is no file of anchors" in one_line(external(*verify, "--against", str(anchors)))

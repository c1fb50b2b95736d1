"""``guanxi import``: what scripts see of it."""

import json
import secrets
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
    """``guanxi("import", …)`` in an empty folder, on the module's migrated database."""
    return commanding(tmp_path, monkeypatch, capfdbinary, database.app_url)


@pytest.fixture
def tenant(guanxi: Guanxi) -> str:
    name = f"cli-{secrets.token_hex(4)}"
    made = guanxi("tenant", "create", name, "--enable", "customers")
    assert made.status == 0, made.err
    return name


def test_counts_report_and_status(guanxi: Guanxi, tenant: str, tmp_path: Path) -> None:
    tmp_path.joinpath("c.csv").write_text("code,name,arrears days\na,A,1\nb,B,x\na,C,2\n")
    first = guanxi("import", "customers", "c.csv", "--tenant", tenant)
    assert first.status == 1
    assert first.out.startswith(
        "customers from c.csv: 1 created, 0 updated, 0 unchanged, 2 rejected\n3 rows in "
    )
    assert first.err == (
        "guanxi: 2 rows were rejected: see c.csv.rejected.csv. c.csv, line 3: customers: "
        "arrears_days 'x' is not a number such as 1234.50\n"
    )
    assert tmp_path.joinpath("c.csv.rejected.csv").read_text("utf-8-sig").splitlines() == [
        "line,reason,code,name,arrears days",
        "3,customers: arrears_days 'x' is not a number such as 1234.50,b,B,x",
        "4,customers: code: the same as in line 2,a,C,2",
    ]

    tmp_path.joinpath("c.csv").write_text("code,name\na,A\nb,B\n")
    dry = guanxi("import", "customers", "c.csv", "--tenant", tenant, "--dry-run")
    assert dry.status == 0
    assert dry.out.endswith("; dry run, nothing was written.\n")
    second = guanxi("import", "customers", "c.csv", "--tenant", tenant, "--json")
    assert (second.status, second.err) == (0, "")
    told = json.loads(second.out)
    assert told.pop("seconds") > 0
    assert told == {
        "created": 1, "updated": 0, "unchanged": 1, "rejected": 0, "report": None, "reports": [],
        "dry_run": False, "warnings": [],
        "steps": [
            {"model": "customers", "file": "c.csv", "created": 1, "updated": 0, "unchanged": 1,
             "rejected": 0, "skipped": 0},
        ],
    }  # fmt: skip


def test_options_for_encoding_delimiter_and_report(
    guanxi: Guanxi, tenant: str, tmp_path: Path
) -> None:
    tmp_path.joinpath("c.csv").write_bytes("code;name\na;张伟公司\nb;\n".encode("gb18030"))
    options = ("--encoding", "gb18030", "--delimiter", ";", "--report", "wrong.csv")
    run = guanxi("import", "customers", "c.csv", "--tenant", tenant, *options)
    assert run.status == 1
    assert "1 row was rejected: see wrong.csv." in run.err
    assert tmp_path.joinpath("wrong.csv").exists()


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (
            b"code,name,arears\na,A,1\n", ["customers"],
            "guanxi: the column 'arears': customers have no attribute 'arears': did you mean "
            "'arrears_days'? Otherwise list it under ignore in a mapping.",
        ),
        (
            b"code,name\na,A\nb,\xd5\xc5\xce\xb0\xb9\xab\xcb\xbe\n", ["customers"],
            "guanxi: file.csv, line 3, byte 17 of the file: is not utf-8-sig: set the encoding to "
            "gb18030 (--encoding, or encoding under [file]).",
        ),
        (
            b"code,code\n", ["customers"],
            "guanxi: file.csv: the header names 'code' twice: rename one of the two.",
        ),
        (
            b"code\n", ["custmers"],
            "guanxi: 'custmers' is nothing that can be imported: did you mean 'customers'?",
        ),
        (
            b"name\n", ["persons", "--map", "none.toml"],
            "guanxi: none.toml: there is no such mapping file.",
        ),
        (None, ["customers"], "guanxi: file.csv: there is no such file."),
    ],
)  # fmt: skip
def test_what_stops_an_import_is_one_line_and_writes_nothing(
    guanxi: Guanxi,
    tenant: str,
    tmp_path: Path,
    content: bytes | None,
    arguments: list[str],
    message: str,
) -> None:
    if content is not None:
        tmp_path.joinpath("file.csv").write_bytes(content)
    model, *options = arguments
    run = guanxi("import", model, "file.csv", "--tenant", tenant, *options)
    assert (run.status, run.out, run.err) == (1, "", f"{message}\n")
    tmp_path.joinpath("file.csv").write_text("code,name\na,A\n")
    after = guanxi("import", "customers", "file.csv", "--tenant", tenant, "--json")
    assert json.loads(after.out)["created"] == 1


def test_an_unknown_tenant_and_bundle(guanxi: Guanxi, tmp_path: Path) -> None:
    tmp_path.joinpath("c.csv").write_text("code,name\n")
    run = guanxi("import", "customers", "c.csv", "--tenant", "nobody")
    assert run.status == 1
    assert "tenant 'nobody' does not exist" in run.err
    run = guanxi("tenant", "create", "new", "--bundle", "telcom")
    assert run.status == 1
    assert run.err == "guanxi: bundle 'telcom' is not installed: did you mean 'telecom'?\n"


def test_a_tenant_with_a_bundle(guanxi: Guanxi) -> None:
    name = f"demo-{secrets.token_hex(4)}"
    made = guanxi("tenant", "create", name, "--bundle", "telecom")
    assert (made.status, made.err) == (0, "")
    rows = json.loads(guanxi("tenant", "list", "--json").out)
    [row] = [row for row in rows if row["name"] == name]
    assert (row["currency"], row["plugins"]) == ("CNY", ["customers", "tiers"])

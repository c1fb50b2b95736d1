"""Configuration: where values come from, and what is said about wrong ones."""

import json
from pathlib import Path

import pytest

from guanxi_core.config import Config, ConfigError

APP = "postgresql://guanxi_app:hunter2@db.example/guanxi"
OWNER = "postgresql://guanxi_owner:hunter2@db.example/guanxi"


def test_without_anything_the_database_is_embedded_in_the_current_folder(tmp_path: Path):
    assert Config.load({}, tmp_path) == Config(tmp_path / ".guanxi")


def test_the_file_is_read(tmp_path: Path):
    (tmp_path / "guanxi.toml").write_text(
        f'home = "data"\ndatabase_url = "{APP}"\nowner_database_url = "{OWNER}"\n'
    )
    assert Config.load({}, tmp_path) == Config(tmp_path / "data", APP, OWNER)


def test_variables_win_over_the_file_and_empty_ones_do_not_count(tmp_path: Path):
    (tmp_path / "guanxi.toml").write_text(f'home = "data"\ndatabase_url = "{APP}"\n')
    environ = {"GUANXI_HOME": "/srv/guanxi", "GUANXI_DATABASE_URL": ""}
    assert Config.load(environ, tmp_path) == Config(Path("/srv/guanxi"), APP)


def test_the_home_may_be_under_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path / "ada"))
    assert Config.load({"GUANXI_HOME": "~/g"}, tmp_path).home == tmp_path / "ada" / "g"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'databse_url = "x"', "unknown key 'databse_url'; the keys are home, database_url"),
        (b"home = 3", "home must be a text in quotes"),
        (b'home = ""', "home must be a text in quotes"),
        (b'database_url = "postgresql://a:hunter2@b/c', "guanxi.toml is not valid TOML: at "),
        (b"home = '\xff'", "guanxi.toml is not UTF-8 text"),
        (b'database_url = "mysql://a:hunter2@b/c"', "guanxi.toml: database_url must begin with"),
        (b'database_url = "postgresql://a:hunter2@b"', "names no database"),
        (b'database_url = "postgresql://a:hunter2@b:x/c"', "database_url is not an address"),
    ],
)
def test_a_wrong_file_is_named_with_key_and_remedy(tmp_path: Path, content: bytes, complaint: str):
    (tmp_path / "guanxi.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Config.load({}, tmp_path)
    assert complaint in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"GUANXI_DATABASE_URL": "localhost/x"}, "GUANXI_DATABASE_URL must begin with postgresql"),
        ({"GUANXI_DATABASE_URL": "postgresql://a:hunter2@[::1/x"}, "is not an address"),
        ({"GUANXI_OWNER_DATABASE_URL": OWNER}, "set GUANXI_DATABASE_URL too"),
        (
            {"GUANXI_DATABASE_URL": APP, "GUANXI_OWNER_DATABASE_URL": "postgresql://a:hunter2@b/"},
            "GUANXI_OWNER_DATABASE_URL names no database",
        ),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, environ: dict[str, str], complaint: str):
    with pytest.raises(ConfigError, match="GUANXI_") as caught:
        Config.load(environ, tmp_path)
    assert complaint in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_unreadable_file_is_an_error_not_an_empty_one(tmp_path: Path):
    (tmp_path / "guanxi.toml").mkdir()
    with pytest.raises(ConfigError, match=r"guanxi\.toml cannot be read"):
        Config.load({}, tmp_path)


def test_passwords_are_not_shown(tmp_path: Path):
    config = Config.load({"GUANXI_DATABASE_URL": APP, "GUANXI_OWNER_DATABASE_URL": OWNER}, tmp_path)
    assert "hunter2" not in repr(config)


def test_limits_are_numbers_from_the_file_or_a_variable(tmp_path: Path):
    (tmp_path / "guanxi.toml").write_text("plugin_deadline = 2.5\nwatchdog = 0\nrate_limit = 9\n")
    config = Config.load({"GUANXI_RATE_LIMIT": "50"}, tmp_path)
    assert (config.plugin_deadline, config.statement_timeout) == (2.5, 30)
    assert (config.watchdog, config.rate_limit) == (0, 50)


@pytest.mark.parametrize("value", ["-1", '"soon"', "true", "nan", "1e9", "[1]"])
def test_a_limit_that_is_none_is_refused(tmp_path: Path, value: str):
    (tmp_path / "guanxi.toml").write_text(f"watchdog = {value}\n")
    with pytest.raises(ConfigError, match=r"watchdog must be a number from 0 to 3600"):
        Config.load({}, tmp_path)


def test_replies_are_kept_for_a_day_or_longer(tmp_path: Path):
    assert Config.load({}, tmp_path).idempotency_hours == 24
    assert Config.load({"GUANXI_IDEMPOTENCY_HOURS": "72"}, tmp_path).idempotency_hours == 72
    for value in ("0", "23.9", "8761"):
        with pytest.raises(ConfigError, match=r"must be a number from 24 to 8760"):
            Config.load({"GUANXI_IDEMPOTENCY_HOURS": value}, tmp_path)


def test_networks_that_plugins_may_reach_are_checked(tmp_path: Path):
    assert Config.load({}, tmp_path).egress_allow == ()
    given = {"GUANXI_EGRESS_ALLOW": "10.1.2.0/24, ::1"}
    assert Config.load(given, tmp_path).egress_allow == ("10.1.2.0/24", "::1/128")
    for value in ('"inside"', "7", "[7]", '["10.1.2.3/24"]'):
        (tmp_path / "guanxi.toml").write_text(f"egress_allow = {value}\n")
        with pytest.raises(ConfigError, match=r"egress_allow must list networks such as"):
            Config.load({}, tmp_path)
    (tmp_path / "guanxi.toml").write_text('egress_allow = ["10.0.0.0/8"]\n')
    assert Config.load({}, tmp_path).egress_allow == ("10.0.0.0/8",)


ISSUER = {"issuer": "https://id.example", "audience": "guanxi", "tenant": "acme"}


def test_issuers_stand_in_the_file_or_in_a_variable(tmp_path: Path):
    (tmp_path / "guanxi.toml").write_text(
        '[[oidc]]\nissuer = "https://id.example"\naudience = "guanxi"\ntenant = "acme"\n'
        'roles_claim = "groups"\nroles = { staff = "readonly" }\n'
    )
    (issuer,) = Config.load({}, tmp_path).issuers
    assert (issuer.issuer, issuer.users, issuer.user_claim) == (
        "https://id.example",
        "existing",
        "sub",
    )
    assert issuer.roles == {"staff": "readonly"}
    given = json.dumps({**ISSUER, "audience": "other"})
    (issuer,) = Config.load({"GUANXI_OIDC": given}, tmp_path).issuers
    assert issuer.audience == "other"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"issuer": "http://id.example"}, "must be an https:// address"),
        ({"audience": ""}, "audience must not be empty"),
        ({"tenant": None}, "name either tenant or tenant_claim"),
        ({"tenant_claim": "org"}, "name either tenant or tenant_claim"),
        ({"roles": {"a": "admin"}}, "roles needs roles_claim"),
        ({"users": "all"}, "Invalid enum value 'all'"),
        ({"audiance": "x"}, "unknown field `audiance`"),
    ],
)
def test_a_wrong_issuer_is_explained(tmp_path: Path, change: dict[str, object], complaint: str):
    given = {name: value for name, value in {**ISSUER, **change}.items() if value is not None}
    with pytest.raises(ConfigError, match="GUANXI_OIDC") as caught:
        Config.load({"GUANXI_OIDC": json.dumps(given)}, tmp_path)
    assert complaint in str(caught.value)


def test_an_issuer_is_named_once(tmp_path: Path):
    with pytest.raises(ConfigError, match="names an issuer twice"):
        Config.load({"GUANXI_OIDC": json.dumps([ISSUER, ISSUER])}, tmp_path)
    with pytest.raises(ConfigError, match="is not valid JSON"):
        Config.load({"GUANXI_OIDC": "https://id.example"}, tmp_path)


def test_origins_are_spelt_as_browsers_do(tmp_path: Path):
    assert Config.load({}, tmp_path).cors_origins == ()
    given = {"GUANXI_CORS_ORIGINS": "https://CRM.example.com, http://localhost:5173,https://[::1]"}
    assert Config.load(given, tmp_path).cors_origins == (
        "https://crm.example.com", "http://localhost:5173", "https://[::1]",
    )  # fmt: skip
    (tmp_path / "guanxi.toml").write_text('cors_origins = ["https://a.example:443"]\n')
    assert Config.load({}, tmp_path).cors_origins == ("https://a.example",)


@pytest.mark.parametrize(
    "value",
    ["*", "null", "https://*.example.com", "https://a.example/", "https://a.example/app",
     "a.example", "https://", "ftp://a.example", "https://user@a.example", "https://a.example?x",
     "https://a.example:port", "https://a b.example", "https://\u4e2d\u56fd.example", "https://a.example\\\\x"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(tmp_path: Path, value: str):
    for written in (f'["{value}"]', f'"{value}"', "7", "[7]"):
        (tmp_path / "guanxi.toml").write_text(f"cors_origins = {written}\n", "utf-8")
        with pytest.raises(ConfigError, match=r"cors_origins must list origins such as"):
            Config.load({}, tmp_path)


def test_a_request_has_a_deadline_unless_that_is_switched_off(tmp_path: Path):
    assert Config.load({}, tmp_path).request_deadline == 60
    assert Config.load({"GUANXI_REQUEST_DEADLINE": "0"}, tmp_path).request_deadline == 0

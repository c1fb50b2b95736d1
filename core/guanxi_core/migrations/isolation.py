"""What keeps tenants apart in the database: keys, policies and rights, applied and inspected."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from guanxi_core.migrations.scripts import CORE, MigrationError

POLICY: Final = "guanxi_tenant"
#: In a subselect, so that the setting is read once for a statement and not once for each row.
EXPRESSION: Final = "tenant_id = (SELECT nullif(current_setting('guanxi.tenant', true), '')::uuid)"

#: Tables of the core that belong to no tenant, or that the app role may not write at will.
SYSTEM_RIGHTS: Final[dict[str, frozenset[str]]] = {
    "guanxi_tenant": frozenset(),
    "guanxi_token": frozenset(),
    "guanxi_stamp": frozenset({"SELECT"}),
    "guanxi_audit": frozenset({"SELECT", "INSERT"}),
    "guanxi_audit_pending": frozenset(),  # until revision 0013
    "guanxi_audit_sealed": frozenset(),
    "guanxi_audit_link": frozenset({"SELECT"}),
    "guanxi_idempotency": frozenset({"SELECT", "INSERT", "DELETE"}),
    "guanxi_outbox": frozenset({"SELECT", "INSERT", "UPDATE"}),
    "guanxi_delivery": frozenset({"SELECT", "INSERT", "UPDATE"}),
    "guanxi_schedule": frozenset({"SELECT", "INSERT", "UPDATE"}),
    "guanxi_job": frozenset({"SELECT", "INSERT", "UPDATE"}),
    "guanxi_searched": frozenset(),
}
#: Reached through functions, or by the owner: the app role has no rights there, nor a policy.
UNSCOPED: Final = frozenset(
    {
        "guanxi_tenant", "guanxi_token", "guanxi_audit_pending", "guanxi_audit_sealed",
        "guanxi_searched",
    }
)  # fmt: skip
_RIGHTS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_EVERY_RIGHT: Final = (*sorted(_RIGHTS), "TRUNCATE", "REFERENCES", "TRIGGER")

_TABLES: Final = sa.text(
    """
    SELECT c.oid, c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
        pg_get_userbyid(c.relowner) AS owner,
        (SELECT attnum FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
            AND a.atttypid = 'uuid'::regtype AND a.attnotnull AND NOT a.attisdropped) AS tenant,
        (SELECT conkey FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p') AS key,
        ARRAY(SELECT i.indexrelid::regclass::text FROM pg_index i
            WHERE i.indrelid = c.oid AND i.indisunique AND NOT EXISTS (
                SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                AND a.attnum = ANY (i.indkey::int2[]))) AS global_keys,
        ARRAY(SELECT k.conname::text FROM pg_constraint k
            JOIN pg_attribute there ON there.attrelid = k.confrelid
                AND there.attname = 'tenant_id' AND NOT there.attisdropped
            WHERE k.conrelid = c.oid AND k.contype = 'f' AND NOT EXISTS (
                SELECT FROM unnest(k.conkey, k.confkey) AS pair (mine, theirs)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = pair.mine
                WHERE a.attname = 'tenant_id' AND pair.theirs = there.attnum)) AS loose_references,
        ARRAY(SELECT ARRAY[p.polname::text, p.polcmd::text, p.polpermissive::text,
                p.polroles::text, coalesce(pg_get_expr(p.polqual, p.polrelid), ''),
                coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')]
            FROM pg_policy p WHERE p.polrelid = c.oid ORDER BY p.polname) AS policies,
        ARRAY(SELECT r FROM unnest(CAST(:every AS text[])) AS r
            WHERE has_table_privilege(CAST(:app AS name), c.oid, r)) AS rights
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        AND starts_with(c.relname, :prefix)
    ORDER BY c.relname
    """
)
_SHOWN_POLICY: Final = [
    POLICY, "*", "true", "{0}",
    "(tenant_id = ( SELECT (NULLIF(current_setting('guanxi.tenant'::text, true), ''::text))::uuid "
    'AS "nullif"))', "",
]  # fmt: skip
_FUNCTIONS: Final = sa.text(
    """
    SELECT p.oid::regprocedure::text AS name,
        has_function_privilege(CAST(:app AS name), p.oid, 'EXECUTE') AS granted,
        EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))
            WHERE grantee = 0) AS public
    FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND starts_with(p.proname, 'guanxi_')
        AND p.prosecdef AND p.prorettype <> 'trigger'::regtype
    ORDER BY 1
    """
)
_WAYS_AROUND: Final = sa.text(
    """
    SELECT relname AS name, relkind::text AS kind FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND starts_with(relname, :prefix)
        AND (relkind IN ('m', 'f') OR relkind = 'v' AND NOT EXISTS (
            SELECT FROM pg_options_to_table(reloptions)
            WHERE option_name = 'security_invoker' AND option_value IN ('true', 'on', '1', 'yes')))
    ORDER BY relname
    """
)


def protect(connection: sa.Connection, names: Iterable[str], app_role: str) -> None:
    """Bring policies and rights of the tables of ``names`` (plugins, or the core) into order.

    Does nothing where all is well. Raises :class:`MigrationError` for a table that cannot keep
    tenants apart, whatever its policy.
    """
    role = connection.dialect.identifier_preparer.quote(app_role)
    for name in names:
        for row in _tables(connection, name, app_role):
            if reasons := _structure(row):
                raise MigrationError(f"table {row.name} {reasons[0]}.")
            table = connection.dialect.identifier_preparer.quote(row.name)
            if row.name not in UNSCOPED:
                if not row.enabled:
                    _run(connection, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
                if not row.forced:
                    _run(connection, f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
                if row.policies != [_SHOWN_POLICY]:
                    for policy, *_ in row.policies:
                        quoted = connection.dialect.identifier_preparer.quote(policy)
                        _run(connection, f"DROP POLICY {quoted} ON {table}")
                    _run(connection, f"CREATE POLICY {POLICY} ON {table} USING ({EXPRESSION})")
            wanted = SYSTEM_RIGHTS.get(row.name, _RIGHTS)
            if missing := sorted(wanted.difference(row.rights)):
                _run(connection, f"GRANT {', '.join(missing)} ON {table} TO {role}")
            if surplus := sorted(set(row.rights) - wanted):
                _run(connection, f"REVOKE {', '.join(surplus)} ON {table} FROM {role}, PUBLIC")
        for row in connection.execute(_WAYS_AROUND, {"prefix": f"{name}_"}):
            raise MigrationError(f"{_around(row)}.")
        if name == CORE:
            for row in connection.execute(_FUNCTIONS, {"app": app_role}):
                if row.public:
                    _run(connection, f"REVOKE ALL ON FUNCTION {row.name} FROM PUBLIC")
                _run(connection, f"GRANT EXECUTE ON FUNCTION {row.name} TO {role}")


def faults(connection: sa.Connection, name: str, app_role: str) -> list[str]:
    """Everything that is wrong with the isolation of one plugin's tables, for people to read."""
    found = []
    for row in _tables(connection, name, app_role):
        reasons = _structure(row)
        if row.name not in UNSCOPED:
            if not (row.enabled and row.forced):
                reasons.append("has no forced row-level security")
            if row.policies != [_SHOWN_POLICY]:
                reasons.append(f"does not have the policy {POLICY} alone")
        wanted = SYSTEM_RIGHTS.get(row.name, _RIGHTS)
        if row.owner == app_role:
            reasons.append(f"belongs to the app role {app_role}")
        elif set(row.rights) != wanted:
            rights = ", ".join(sorted(wanted)) or "no rights"
            reasons.append(f"should give {app_role} {rights}")
        found += [f"table {row.name} {reason}" for reason in reasons]
    found += [_around(row) for row in connection.execute(_WAYS_AROUND, {"prefix": f"{name}_"})]
    if name == CORE:
        found += [
            f"function {row.name} may be called by everybody"
            if row.public
            else f"function {row.name} may not be called by {app_role}"
            for row in connection.execute(_FUNCTIONS, {"app": app_role})
            if row.public or not row.granted
        ]
    return found


def role_faults(connection: sa.Connection, app_role: str, owner: str) -> list[str]:
    """Why ``app_role`` would not be bound by the policies, if so."""
    found = connection.execute(
        sa.text(
            "SELECT rolsuper AS super, rolbypassrls AS bypasses, "
            "pg_has_role(rolname, CAST(:owner AS name), 'MEMBER') AS member "
            "FROM pg_roles WHERE rolname = :app"
        ),
        {"app": app_role, "owner": owner},
    ).one_or_none()
    if found is None:
        return [f"the app role '{app_role}' does not exist: CREATE ROLE {app_role} LOGIN"]
    if app_role == owner:
        return [f"the app role '{app_role}' owns the tables: use two roles"]
    if found.super:
        return [f"the app role '{app_role}' is a superuser: ALTER ROLE {app_role} NOSUPERUSER"]
    if found.bypasses:
        return [f"the app role '{app_role}' has BYPASSRLS: ALTER ROLE {app_role} NOBYPASSRLS"]
    if found.member:
        remedy = f"REVOKE {owner} FROM {app_role}"
        return [f"the app role '{app_role}' is a member of '{owner}': {remedy}"]
    return []


def lift(connection: sa.Connection, names: Iterable[str]) -> None:
    """Let the owner see all rows of the tables of ``names`` until the transaction ends.

    Else a revision that converts data would silently convert none of it. :func:`restore` puts the
    force back before commit; nobody else ever sees it lifted.
    """
    _force(connection, names, False)


def restore(connection: sa.Connection, names: Iterable[str]) -> None:
    """Undo :func:`lift`."""
    _force(connection, names, True)


def _force(connection: sa.Connection, names: Iterable[str], forced: bool) -> None:
    for name in names:
        for table in connection.scalars(
            sa.text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                "AND relkind IN ('r', 'p') AND relrowsecurity AND relforcerowsecurity <> :forced "
                "AND starts_with(relname, :prefix) ORDER BY relname"
            ),
            {"prefix": f"{name}_", "forced": forced},
        ).all():
            quoted = connection.dialect.identifier_preparer.quote(table)
            verb = "FORCE" if forced else "NO FORCE"
            _run(connection, f"ALTER TABLE {quoted} {verb} ROW LEVEL SECURITY")


def _tables(connection: sa.Connection, name: str, app_role: str) -> Sequence[Any]:
    return connection.execute(
        _TABLES, {"prefix": f"{name}_", "app": app_role, "every": list(_EVERY_RIGHT)}
    ).all()


def _structure(row: Any) -> list[str]:
    """What is wrong with the keys of a table, which no policy could make good."""
    if row.name in UNSCOPED:
        return []
    if row.tenant is None:
        return ["has no column tenant_id of type uuid NOT NULL: every table belongs to a tenant"]
    reasons = []
    if not row.key or row.key[0] != row.tenant:
        reasons.append("has no primary key that begins with tenant_id")
    reasons += [f"has the unique key {key} without tenant_id" for key in row.global_keys]
    reasons += [f"has the foreign key {key} without tenant_id" for key in row.loose_references]
    return reasons


def _around(row: Any) -> str:
    what = {"m": "materialised view", "f": "foreign table"}.get(row.kind, "view")
    remedy = "WITH (security_invoker = true)" if row.kind == "v" else "a table with tenant_id"
    return f"{what} {row.name} passes row-level security: make it {remedy}"


def _run(connection: sa.Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)

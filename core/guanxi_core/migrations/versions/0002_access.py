"""Clearances, first roles, and grants that end by themselves.

A stamp lives as long as the token and the grants it was made of: when the next of them ends, every
statement under it is stale, and authenticating again gives what is left.
"""

import re
from importlib import import_module

from alembic import op

revision = "0002"
down_revision = "0001"

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

ARGUMENTS = "uuid, uuid, uuid, uuid, text, bytea, timestamptz"

FUNCTIONS = {
    # Until when a token's rights are what they are now.
    "guanxi_rights_until(tenant uuid, token uuid)": """
        RETURNS timestamptz LANGUAGE sql STABLE AS $$
            SELECT least(coalesce(t.expires_at, 'infinity'), coalesce((
                SELECT min(h.expires_at) FROM public.guanxi_user_role h
                WHERE h.tenant_id = tenant AND h.user_id = t.user_id
                AND (t.role_id IS NULL OR h.role_id = t.role_id)
                AND (h.expires_at IS NULL OR h.expires_at > now())
            ), 'infinity'))
            FROM public.guanxi_token t WHERE t.tenant_id = tenant AND t.id = token
        $$
    """,
    "guanxi_grants_changed()": """
        RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE tenant uuid := nullif(current_setting('guanxi.tenant', true), '')::uuid;
        BEGIN
            UPDATE public.guanxi_stamp s
            SET expires_at = public.guanxi_rights_until(tenant, s.token_id)
            WHERE s.tenant_id = tenant;
            RETURN NULL;
        END $$
    """,
    "guanxi_create_token(token uuid, tenant uuid, owner uuid, token_role uuid, "
    "token_label text, token_digest bytea, expires timestamptz)": """
        RETURNS void LANGUAGE plpgsql AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            PERFORM FROM public.guanxi_tenant WHERE id = tenant FOR NO KEY UPDATE;
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            INSERT INTO public.guanxi_token
                (id, tenant_id, user_id, role_id, label, digest, expires_at)
            VALUES (token, tenant, owner, token_role, token_label, token_digest, expires);
            INSERT INTO public.guanxi_stamp (tenant_id, token_id, expires_at)
            VALUES (tenant, token, public.guanxi_rights_until(tenant, token));
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    # Rights, plugins and epoch come from one statement, hence one snapshot: a change that commits
    # meanwhile leaves a stale epoch behind, never stale rights under a current one. A token with a
    # user and a role has the rights of that role while the user holds it. Where a grant has ended
    # but not the token, the stamp is made to last until the next one ends; the tenant's lock keeps
    # changes of grants out meanwhile.
    "guanxi_authenticate(wanted bytea)": """
        RETURNS TABLE (token_id uuid, tenant_id uuid, tenant_name text, currency text,
            user_id uuid, user_name text, label text, roles jsonb, epoch bigint, plugins jsonb)
        LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            tenant uuid;
            token uuid;
        BEGIN
            SELECT t.tenant_id, t.id INTO tenant, token
            FROM public.guanxi_token t WHERE t.digest = wanted
            AND (t.expires_at IS NULL OR t.expires_at > now());
            IF NOT FOUND THEN
                RETURN;
            END IF;
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            IF EXISTS (
                SELECT FROM public.guanxi_stamp s
                WHERE s.tenant_id = tenant AND s.token_id = token AND s.expires_at <= now()
            ) THEN
                PERFORM FROM public.guanxi_tenant n WHERE n.id = tenant FOR NO KEY UPDATE;
                UPDATE public.guanxi_stamp s
                SET expires_at = public.guanxi_rights_until(tenant, token), epoch = s.epoch + 1
                WHERE s.tenant_id = tenant AND s.token_id = token AND s.expires_at <= now();
            END IF;
            RETURN QUERY
            SELECT t.id, n.id, n.name, n.currency, u.id, u.name, t.label,
                coalesce((
                    SELECT jsonb_agg(jsonb_build_object(
                        'permissions', r.permissions, 'clearance', r.clearance) ORDER BY r.name)
                    FROM public.guanxi_role r
                    WHERE r.tenant_id = tenant
                    AND (r.id = t.role_id OR t.role_id IS NULL)
                    AND CASE WHEN t.user_id IS NULL THEN r.id = t.role_id ELSE EXISTS (
                        SELECT FROM public.guanxi_user_role h
                        WHERE h.tenant_id = tenant AND h.user_id = t.user_id AND h.role_id = r.id
                        AND (h.expires_at IS NULL OR h.expires_at > now())
                    ) END
                ), '[]'),
                s.epoch,
                coalesce((
                    SELECT jsonb_object_agg(g.name, g.settings) FROM public.guanxi_plugin g
                    WHERE g.tenant_id = tenant AND g.enabled
                ), '{}')
            FROM public.guanxi_token t
            JOIN public.guanxi_tenant n ON n.id = t.tenant_id
            JOIN public.guanxi_stamp s ON s.tenant_id = t.tenant_id AND s.token_id = t.id
            LEFT JOIN public.guanxi_user u ON u.tenant_id = t.tenant_id AND u.id = t.user_id
            WHERE t.tenant_id = tenant AND t.digest = wanted AND t.revoked_at IS NULL
            AND s.expires_at > now()
            AND (t.user_id IS NULL OR (u.id IS NOT NULL AND u.archived_at IS NULL));
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
}

#: What tenants made before this revision get: name, permissions, clearance, description.
ROLES = (
    ("admin", ("*",), "SECRET", "Does everything."),
    ("manager", ("*.read:team", "*.write:team", "*.steward:team", "*.override:team"), "SECRET",
     "Leads people: sees and changes what they and their reports look after."),
    ("steward", ("*.read:own", "*.write:own"), "SECRET",
     "Looks after customers: sees and changes what is theirs."),
    ("finance", ("*.read",), "CONFIDENTIAL", "Sees everything that is not secret."),
    ("auditor", ("*.read", "guanxi.audit", "guanxi.rights"), "CONFIDENTIAL",
     "Sees everything that is not secret, and who did what."),
    ("readonly", ("*.read",), "INTERNAL", "Sees what is not confidential."),
)  # fmt: skip

COLUMNS = {
    "guanxi_role": """
        ADD COLUMN clearance text NOT NULL DEFAULT 'INTERNAL'
            CONSTRAINT ck_guanxi_role_clearance
            CHECK (clearance IN ('INTERNAL', 'CONFIDENTIAL', 'SECRET')),
        ADD COLUMN description text,
        ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN version integer NOT NULL DEFAULT 1,
        ADD COLUMN archived_at timestamptz
    """,
    "guanxi_user": """
        ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN version integer NOT NULL DEFAULT 1
    """,
    "guanxi_user_role": """
        ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
        ADD COLUMN expires_at timestamptz,
        ADD COLUMN purpose text,
        ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN version integer NOT NULL DEFAULT 1,
        ADD COLUMN archived_at timestamptz,
        ADD CONSTRAINT uq_guanxi_user_role_id UNIQUE (tenant_id, id)
    """,
}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} {columns}")
        op.execute(f"CREATE INDEX ix_{table}_created_at ON {table} (tenant_id, created_at, id)")
    op.execute("DROP FUNCTION guanxi_authenticate(bytea)")
    op.execute(f"DROP FUNCTION guanxi_create_token({ARGUMENTS})")
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {signature} {body} {DEFINER}")
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
    op.execute(
        "CREATE TRIGGER guanxi_grants_changed AFTER INSERT OR UPDATE OR DELETE ON guanxi_user_role "
        "FOR EACH STATEMENT EXECUTE FUNCTION guanxi_grants_changed()"
    )
    values = ", ".join(
        f"('{name}', ARRAY[{', '.join(repr(one) for one in permissions)}], '{clearance}', '{text}')"
        for name, permissions, clearance, text in ROLES
    )
    op.execute(_SETTLE % values)


_SETTLE = """
    DO $$ DECLARE tenant uuid; BEGIN
        FOR tenant IN SELECT id FROM guanxi_tenant LOOP
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            INSERT INTO guanxi_role
                (tenant_id, id, name, permissions, clearance, description)
            SELECT tenant, gen_random_uuid(), * FROM (VALUES %s) AS r
            ON CONFLICT (tenant_id, name) DO NOTHING;
            UPDATE guanxi_role SET clearance = 'SECRET'
            WHERE tenant_id = tenant AND name = 'admin' AND permissions = ARRAY['*'];
        END LOOP;
        PERFORM set_config('guanxi.tenant', '', true);
    END $$
"""


def downgrade() -> None:
    op.execute("DROP TRIGGER guanxi_grants_changed ON guanxi_user_role")
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")
    former = import_module("guanxi_core.migrations.versions.0001_system_tables").FUNCTIONS
    for signature in FUNCTIONS:
        if signature in former:
            op.execute(f"CREATE FUNCTION {signature} {former[signature]} {DEFINER}")
            op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
    op.execute("ALTER TABLE guanxi_user_role DROP CONSTRAINT uq_guanxi_user_role_id")
    for table, columns in COLUMNS.items():
        op.execute(f"DROP INDEX ix_{table}_created_at")
        for name in re.findall(r"ADD COLUMN (\w+)", columns):
            op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")

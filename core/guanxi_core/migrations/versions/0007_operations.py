"""What requests a tenant answers: its limits, registered operations, and tokens bound to these."""

from importlib import import_module

from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = {
    # NULL stands for what the platform's operator gives everybody. The number of registrations
    # tells processes that keep documents whether theirs are of now.
    "guanxi_limits": """
        tenant_id uuid NOT NULL,
        tokens integer,
        depth integer,
        aliases integer,
        root_fields integer,
        cost integer,
        list_size integer,
        only_registered boolean NOT NULL DEFAULT false,
        registrations bigint NOT NULL DEFAULT 0,
        CONSTRAINT pk_guanxi_limits PRIMARY KEY (tenant_id),
        CONSTRAINT fk_guanxi_limits_tenant_id
            FOREIGN KEY (tenant_id) REFERENCES guanxi_tenant (id) ON DELETE CASCADE
    """,
    "guanxi_registered_operation": """
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        sha256 text NOT NULL,
        name text NOT NULL,
        kind text NOT NULL,
        document text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_guanxi_registered_operation PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_guanxi_registered_operation_tenant_id_sha256 UNIQUE (tenant_id, sha256),
        CONSTRAINT ck_guanxi_registered_operation_kind
            CHECK (kind IN ('query', 'mutation', 'subscription')),
        CONSTRAINT fk_guanxi_registered_operation_tenant_id
            FOREIGN KEY (tenant_id) REFERENCES guanxi_tenant (id) ON DELETE CASCADE
    """,
}

INDEXES = (
    "CREATE INDEX ix_guanxi_registered_operation_created_at "
    "ON guanxi_registered_operation (tenant_id, created_at, id)",
    "CREATE INDEX ix_guanxi_registered_operation_sha256 "
    "ON guanxi_registered_operation (tenant_id, sha256, id)",
    "CREATE INDEX ix_guanxi_registered_operation_name "
    "ON guanxi_registered_operation (tenant_id, name, id)",
)

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
FORMER = (
    "guanxi_create_token(uuid, uuid, uuid, uuid, text, bytea, timestamptz)",
    "guanxi_tokens(uuid)",
    "guanxi_authenticate(bytea)",
)

FUNCTIONS = {
    # NULL for the operations of a token that is bound to none.
    "guanxi_create_token(token uuid, tenant uuid, owner uuid, token_role uuid, "
    "token_label text, token_digest bytea, expires timestamptz, "
    "token_operations text[] DEFAULT NULL)": """
        RETURNS void LANGUAGE plpgsql AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            INSERT INTO public.guanxi_token
                (id, tenant_id, user_id, role_id, label, digest, expires_at, operations)
            VALUES (token, tenant, owner, token_role, token_label, token_digest, expires,
                token_operations);
            INSERT INTO public.guanxi_stamp (tenant_id, token_id, expires_at)
            VALUES (tenant, token, public.guanxi_rights_until(tenant, token));
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    "guanxi_tokens(tenant uuid)": """
        RETURNS TABLE (id uuid, user_id uuid, user_name text, role_id uuid, role_name text,
            label text, created_at timestamptz, expires_at timestamptz, revoked_at timestamptz,
            operations text[])
        LANGUAGE plpgsql AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            RETURN QUERY
            SELECT t.id, t.user_id, u.name, t.role_id, r.name,
                t.label, t.created_at, t.expires_at, t.revoked_at, t.operations
            FROM public.guanxi_token t
            LEFT JOIN public.guanxi_user u ON u.tenant_id = t.tenant_id AND u.id = t.user_id
            LEFT JOIN public.guanxi_role r ON r.tenant_id = t.tenant_id AND r.id = t.role_id
            WHERE t.tenant_id = tenant ORDER BY t.created_at, t.id;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    # As before, with what requests are answered and what the token is bound to.
    "guanxi_authenticate(wanted bytea)": """
        RETURNS TABLE (token_id uuid, tenant_id uuid, tenant_name text, currency text,
            user_id uuid, user_name text, label text, roles jsonb, epoch bigint, plugins jsonb,
            requests jsonb, operations text[])
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
                ), '{}'),
                (SELECT to_jsonb(l) - 'tenant_id' FROM public.guanxi_limits l
                    WHERE l.tenant_id = tenant),
                t.operations
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
    "guanxi_operations_changed()": """
        RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE tenant uuid := nullif(current_setting('guanxi.tenant', true), '')::uuid;
        BEGIN
            UPDATE public.guanxi_limits SET registrations = registrations + 1
            WHERE tenant_id = tenant;
            IF NOT FOUND AND TG_OP = 'INSERT' THEN
                INSERT INTO public.guanxi_limits (tenant_id, registrations) VALUES (tenant, 1);
            END IF;
            RETURN NULL;
        END $$
    """,
}


def upgrade() -> None:
    for name, body in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body})")
    for statement in INDEXES:
        op.execute(statement)
    op.execute("ALTER TABLE guanxi_token ADD COLUMN operations text[]")
    for former in FORMER:
        op.execute(f"DROP FUNCTION {former}")
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {signature} {body} {DEFINER}")
        op.execute(f"REVOKE ALL ON FUNCTION {_named(signature)} FROM PUBLIC")
    # Before the statement, as for all that decides about rights: the tenant's row is locked first.
    op.execute(
        "CREATE TRIGGER guanxi_rights_changed BEFORE INSERT OR UPDATE OR DELETE ON guanxi_limits "
        "FOR EACH STATEMENT EXECUTE FUNCTION guanxi_rights_changed()"
    )
    op.execute(
        "CREATE TRIGGER guanxi_operations_changed "
        "BEFORE INSERT OR UPDATE OR DELETE ON guanxi_registered_operation "
        "FOR EACH STATEMENT EXECUTE FUNCTION guanxi_operations_changed()"
    )


def downgrade() -> None:
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {_named(signature)}")
    op.execute("ALTER TABLE guanxi_token DROP COLUMN operations")
    for number, name in (("0002_access", "create_token"), ("0001_system_tables", "tokens"),
                         ("0002_access", "authenticate")):  # fmt: skip
        module = import_module(f"guanxi_core.migrations.versions.{number}")
        for signature, body in module.FUNCTIONS.items():
            if signature.startswith(f"guanxi_{name}("):
                op.execute(f"CREATE FUNCTION {signature} {body} {DEFINER}")
                op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")


def _named(signature: str) -> str:
    """A function's name and arguments, without defaults."""
    return signature.replace(" DEFAULT NULL", "")

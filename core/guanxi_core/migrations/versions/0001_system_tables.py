"""System tables, their policies' foundations, and the functions that reach across tenants.

The functions run as the tables' owner. Row-level security is forced, so it binds the owner as well:
a function that reads a tenant's rows sets ``guanxi.tenant`` to that tenant for its own duration and
puts the former value back; an error undoes the setting with the transaction. Nothing is exempt from
the policies, and a function that forgets the setting finds no rows rather than everybody's. Each
statement names the tenant as well, because an owner who is a superuser passes the policies.
"""

from alembic import op

revision = "0001"
down_revision = None

TABLES = {
    "guanxi_tenant": """
        id uuid NOT NULL,
        name text COLLATE "C" NOT NULL,
        currency text NOT NULL DEFAULT 'CNY',
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_guanxi_tenant PRIMARY KEY (id),
        CONSTRAINT uq_guanxi_tenant_name UNIQUE (name),
        CONSTRAINT ck_guanxi_tenant_name CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
        CONSTRAINT ck_guanxi_tenant_currency CHECK (currency ~ '^[A-Z]{3}$')
    """,
    "guanxi_user": """
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        name text NOT NULL,
        email text,
        created_at timestamptz NOT NULL DEFAULT now(),
        archived_at timestamptz,
        CONSTRAINT pk_guanxi_user PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_guanxi_user_tenant_id_name UNIQUE (tenant_id, name),
        CONSTRAINT fk_guanxi_user_tenant_id
            FOREIGN KEY (tenant_id) REFERENCES guanxi_tenant (id) ON DELETE CASCADE
    """,
    "guanxi_role": """
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        name text NOT NULL,
        permissions text[] NOT NULL,
        CONSTRAINT pk_guanxi_role PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_guanxi_role_tenant_id_name UNIQUE (tenant_id, name),
        CONSTRAINT fk_guanxi_role_tenant_id
            FOREIGN KEY (tenant_id) REFERENCES guanxi_tenant (id) ON DELETE CASCADE
    """,
    "guanxi_user_role": """
        tenant_id uuid NOT NULL,
        user_id uuid NOT NULL,
        role_id uuid NOT NULL,
        CONSTRAINT pk_guanxi_user_role PRIMARY KEY (tenant_id, user_id, role_id),
        CONSTRAINT fk_guanxi_user_role_user_id FOREIGN KEY (tenant_id, user_id)
            REFERENCES guanxi_user (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT fk_guanxi_user_role_role_id FOREIGN KEY (tenant_id, role_id)
            REFERENCES guanxi_role (tenant_id, id) ON DELETE CASCADE
    """,
    "guanxi_token": """
        id uuid NOT NULL,
        tenant_id uuid NOT NULL,
        user_id uuid,
        role_id uuid,
        label text NOT NULL DEFAULT '',
        digest bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        revoked_at timestamptz,
        CONSTRAINT pk_guanxi_token PRIMARY KEY (id),
        CONSTRAINT uq_guanxi_token_tenant_id_id UNIQUE (tenant_id, id),
        CONSTRAINT uq_guanxi_token_digest UNIQUE (digest),
        CONSTRAINT ck_guanxi_token_digest CHECK (length(digest) = 32),
        CONSTRAINT fk_guanxi_token_tenant_id
            FOREIGN KEY (tenant_id) REFERENCES guanxi_tenant (id) ON DELETE CASCADE,
        CONSTRAINT fk_guanxi_token_user_id FOREIGN KEY (tenant_id, user_id)
            REFERENCES guanxi_user (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT fk_guanxi_token_role_id FOREIGN KEY (tenant_id, role_id)
            REFERENCES guanxi_role (tenant_id, id) ON DELETE CASCADE
    """,
    "guanxi_stamp": """
        tenant_id uuid NOT NULL,
        token_id uuid NOT NULL,
        epoch bigint NOT NULL DEFAULT 1,
        expires_at timestamptz NOT NULL DEFAULT 'infinity',
        CONSTRAINT pk_guanxi_stamp PRIMARY KEY (tenant_id, token_id),
        CONSTRAINT fk_guanxi_stamp_token_id FOREIGN KEY (tenant_id, token_id)
            REFERENCES guanxi_token (tenant_id, id) ON DELETE CASCADE
    """,
    "guanxi_plugin": """
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        enabled boolean NOT NULL,
        settings jsonb NOT NULL DEFAULT '{}',
        version text NOT NULL DEFAULT '',
        changed_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_guanxi_plugin PRIMARY KEY (tenant_id, name),
        CONSTRAINT fk_guanxi_plugin_tenant_id
            FOREIGN KEY (tenant_id) REFERENCES guanxi_tenant (id) ON DELETE CASCADE
    """,
    "guanxi_vocabulary": """
        tenant_id uuid NOT NULL,
        key text NOT NULL,
        zh text NOT NULL,
        en text NOT NULL,
        CONSTRAINT pk_guanxi_vocabulary PRIMARY KEY (tenant_id, key),
        CONSTRAINT fk_guanxi_vocabulary_tenant_id
            FOREIGN KEY (tenant_id) REFERENCES guanxi_tenant (id) ON DELETE CASCADE
    """,
    "guanxi_bundle": """
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        version text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_guanxi_bundle PRIMARY KEY (tenant_id, name),
        CONSTRAINT fk_guanxi_bundle_tenant_id
            FOREIGN KEY (tenant_id) REFERENCES guanxi_tenant (id) ON DELETE CASCADE
    """,
    # Written with every mutation: a foreign key to the tenant would lock its row each time.
    "guanxi_audit": """
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        actor_id uuid,
        actor text NOT NULL,
        action text NOT NULL,
        model text,
        row_id uuid,
        changes jsonb NOT NULL DEFAULT '{}',
        reason text,
        origin text,
        CONSTRAINT pk_guanxi_audit PRIMARY KEY (tenant_id, id)
    """,
    "guanxi_outbox": """
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        name text NOT NULL,
        payload jsonb NOT NULL,
        status text NOT NULL DEFAULT 'new',
        attempts integer NOT NULL DEFAULT 0,
        CONSTRAINT pk_guanxi_outbox PRIMARY KEY (tenant_id, id)
    """,
}

INDEXES = (
    "CREATE INDEX ix_guanxi_token_user_id ON guanxi_token (tenant_id, user_id)",
    "CREATE INDEX ix_guanxi_token_role_id ON guanxi_token (tenant_id, role_id)",
    "CREATE INDEX ix_guanxi_user_role_role_id ON guanxi_user_role (tenant_id, role_id)",
    "CREATE INDEX ix_guanxi_audit_at ON guanxi_audit (tenant_id, at, id)",
    "CREATE INDEX ix_guanxi_audit_row_id ON guanxi_audit (tenant_id, model, row_id)",
    "CREATE INDEX ix_guanxi_outbox_at ON guanxi_outbox (at) WHERE status = 'new'",
)

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

FUNCTIONS = {
    # Makes every caller of the tenant load its rights anew; changes of one tenant take turns.
    "guanxi_touch(tenant uuid)": """
        RETURNS void LANGUAGE plpgsql AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            PERFORM FROM public.guanxi_tenant WHERE id = tenant FOR NO KEY UPDATE;
            PERFORM set_config('guanxi.tenant', coalesce(tenant::text, ''), true);
            UPDATE public.guanxi_stamp SET epoch = epoch + 1 WHERE tenant_id = tenant;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    "guanxi_rights_changed()": """
        RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM public.guanxi_touch(
                nullif(current_setting('guanxi.tenant', true), '')::uuid);
            RETURN NULL;
        END $$
    """,
    "guanxi_create_tenant(tenant uuid, tenant_name text, tenant_currency text)": """
        RETURNS void LANGUAGE sql AS $$
            INSERT INTO public.guanxi_tenant (id, name, currency)
            VALUES (tenant, tenant_name, tenant_currency)
        $$
    """,
    "guanxi_tenants(wanted text)": """
        RETURNS TABLE (id uuid, name text, currency text, created_at timestamptz)
        LANGUAGE sql STABLE AS $$
            SELECT t.id, t.name, t.currency, t.created_at FROM public.guanxi_tenant t
            WHERE wanted IS NULL OR t.name = wanted ORDER BY t.name
        $$
    """,
    "guanxi_create_token(token uuid, tenant uuid, owner uuid, token_role uuid, "
    "token_label text, token_digest bytea, expires timestamptz)": """
        RETURNS void LANGUAGE plpgsql AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            INSERT INTO public.guanxi_token
                (id, tenant_id, user_id, role_id, label, digest, expires_at)
            VALUES (token, tenant, owner, token_role, token_label, token_digest, expires);
            INSERT INTO public.guanxi_stamp (tenant_id, token_id, expires_at)
            VALUES (tenant, token, coalesce(expires, 'infinity'));
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    "guanxi_revoke_token(tenant uuid, token uuid)": """
        RETURNS boolean LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            done boolean;
        BEGIN
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            UPDATE public.guanxi_token SET revoked_at = now()
            WHERE tenant_id = tenant AND id = token AND revoked_at IS NULL;
            done := FOUND;
            DELETE FROM public.guanxi_stamp WHERE tenant_id = tenant AND token_id = token;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
            RETURN done;
        END $$
    """,
    "guanxi_tokens(tenant uuid)": """
        RETURNS TABLE (id uuid, user_id uuid, user_name text, role_id uuid, role_name text,
            label text, created_at timestamptz, expires_at timestamptz, revoked_at timestamptz)
        LANGUAGE plpgsql AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            RETURN QUERY
            SELECT t.id, t.user_id, u.name, t.role_id, r.name,
                t.label, t.created_at, t.expires_at, t.revoked_at
            FROM public.guanxi_token t
            LEFT JOIN public.guanxi_user u ON u.tenant_id = t.tenant_id AND u.id = t.user_id
            LEFT JOIN public.guanxi_role r ON r.tenant_id = t.tenant_id AND r.id = t.role_id
            WHERE t.tenant_id = tenant ORDER BY t.created_at, t.id;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    # Rights, plugins and epoch come from one statement, hence one snapshot: a change that commits
    # meanwhile leaves a stale epoch behind, never stale rights under a current one. A token with a
    # user and a role has the rights of that role while the user holds it.
    "guanxi_authenticate(wanted bytea)": """
        RETURNS TABLE (token_id uuid, tenant_id uuid, tenant_name text, currency text,
            user_id uuid, user_name text, label text, permissions text[], epoch bigint,
            plugins jsonb)
        LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            tenant uuid;
        BEGIN
            SELECT t.tenant_id INTO tenant FROM public.guanxi_token t WHERE t.digest = wanted;
            IF NOT FOUND THEN
                RETURN;
            END IF;
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            RETURN QUERY
            SELECT t.id, n.id, n.name, n.currency, u.id, u.name, t.label,
                coalesce((
                    SELECT array_agg(DISTINCT p.pattern)
                    FROM public.guanxi_role r CROSS JOIN unnest(r.permissions) AS p (pattern)
                    WHERE r.tenant_id = tenant
                    AND (r.id = t.role_id OR t.role_id IS NULL)
                    AND CASE WHEN t.user_id IS NULL THEN r.id = t.role_id ELSE EXISTS (
                        SELECT FROM public.guanxi_user_role h
                        WHERE h.tenant_id = tenant AND h.user_id = t.user_id AND h.role_id = r.id
                    ) END
                ), '{}'),
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

#: What decides about a caller's rights and schema.
WATCHED = (
    "guanxi_user", "guanxi_role", "guanxi_user_role", "guanxi_plugin", "guanxi_vocabulary",
)  # fmt: skip


def upgrade() -> None:
    for name, body in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body})")
    for statement in INDEXES:
        op.execute(statement)
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {signature} {body} {DEFINER}")
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
    # Before the statement, so that the tenant's row is locked ahead of any other: no deadlocks.
    for name in WATCHED:
        op.execute(
            f"CREATE TRIGGER guanxi_rights_changed BEFORE INSERT OR UPDATE OR DELETE ON {name} "
            "FOR EACH STATEMENT EXECUTE FUNCTION guanxi_rights_changed()"
        )


def downgrade() -> None:
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")

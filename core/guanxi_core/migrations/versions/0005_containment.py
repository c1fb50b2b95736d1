"""Plugins that are switched off, and sessions of users who come with an issuer's tokens."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = {
    "guanxi_plugin_state": """
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        plugin text NOT NULL,
        state text NOT NULL,
        since timestamptz NOT NULL,
        until timestamptz NOT NULL,
        failures bigint NOT NULL,
        error text NOT NULL,
        worker text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_guanxi_plugin_state PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_guanxi_plugin_state_tenant_id_plugin UNIQUE (tenant_id, plugin),
        CONSTRAINT ck_guanxi_plugin_state_state CHECK (state IN ('open', 'closed')),
        CONSTRAINT fk_guanxi_plugin_state_tenant_id
            FOREIGN KEY (tenant_id) REFERENCES guanxi_tenant (id) ON DELETE CASCADE
    """,
    # One row per user of an issuer; its token carries the stamp that all JWTs of the user share.
    "guanxi_session": """
        tenant_id uuid NOT NULL,
        token_id uuid NOT NULL,
        user_id uuid NOT NULL,
        issuer text NOT NULL,
        subject text NOT NULL,
        issued_at timestamptz NOT NULL,
        seen_at timestamptz NOT NULL,
        CONSTRAINT pk_guanxi_session PRIMARY KEY (tenant_id, token_id),
        CONSTRAINT uq_guanxi_session_tenant_id_issuer_subject
            UNIQUE (tenant_id, issuer, subject),
        CONSTRAINT uq_guanxi_session_tenant_id_user_id UNIQUE (tenant_id, user_id),
        CONSTRAINT fk_guanxi_session_token_id FOREIGN KEY (tenant_id, token_id)
            REFERENCES guanxi_token (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT fk_guanxi_session_user_id FOREIGN KEY (tenant_id, user_id)
            REFERENCES guanxi_user (tenant_id, id) ON DELETE CASCADE
    """,
}

INDEXES = (
    "CREATE INDEX ix_guanxi_plugin_state_created_at "
    "ON guanxi_plugin_state (tenant_id, created_at, id)",
    "CREATE INDEX ix_guanxi_plugin_state_state ON guanxi_plugin_state (tenant_id, state, id)",
)

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

FUNCTIONS = {
    "guanxi_plugin_states()": """
        RETURNS TABLE (tenant text, plugin text, state text, since timestamptz,
            until timestamptz, failures bigint, error text, worker text)
        LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            one record;
        BEGIN
            FOR one IN SELECT t.id, t.name FROM public.guanxi_tenant t ORDER BY t.name LOOP
                PERFORM set_config('guanxi.tenant', one.id::text, true);
                RETURN QUERY SELECT one.name, s.plugin, s.state, s.since, s.until, s.failures,
                    s.error, s.worker
                FROM public.guanxi_plugin_state s WHERE s.tenant_id = one.id ORDER BY s.plugin;
            END LOOP;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    # When a token was revoked, for a session that asks whether it may begin anew.
    "guanxi_token_revoked_at(tenant uuid, token uuid)": """
        RETURNS timestamptz LANGUAGE sql STABLE AS $$
            SELECT revoked_at FROM public.guanxi_token WHERE tenant_id = tenant AND id = token
        $$
    """,
    # Lets a session last until its newest JWT ends, and begin anew after it was revoked.
    "guanxi_extend_token(tenant uuid, token uuid, expires timestamptz)": """
        RETURNS void LANGUAGE plpgsql AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            IF EXISTS (SELECT FROM public.guanxi_token t WHERE t.tenant_id = tenant
                AND t.id = token AND t.revoked_at IS NULL AND t.expires_at >= expires)
            THEN
                RETURN;
            END IF;
            PERFORM FROM public.guanxi_tenant WHERE id = tenant FOR NO KEY UPDATE;
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            UPDATE public.guanxi_token
            SET expires_at = greatest(expires_at, expires), revoked_at = NULL
            WHERE tenant_id = tenant AND id = token;
            INSERT INTO public.guanxi_stamp (tenant_id, token_id, expires_at)
            VALUES (tenant, token, public.guanxi_rights_until(tenant, token))
            ON CONFLICT (tenant_id, token_id) DO UPDATE SET expires_at = excluded.expires_at;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    # Ends an API token for good whose time was seen to be over, so that no clock revives it.
    "guanxi_end_token(wanted bytea)": """
        RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            tenant uuid;
            token uuid;
        BEGIN
            UPDATE public.guanxi_token SET revoked_at = expires_at
            WHERE digest = wanted AND revoked_at IS NULL AND expires_at <= now()
            RETURNING tenant_id, id INTO tenant, token;
            IF NOT FOUND THEN
                RETURN;
            END IF;
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            DELETE FROM public.guanxi_stamp WHERE tenant_id = tenant AND token_id = token;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
}


def upgrade() -> None:
    for name, body in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body})")
    for statement in INDEXES:
        op.execute(statement)
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {signature} {body} {DEFINER}")
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")


def downgrade() -> None:
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")

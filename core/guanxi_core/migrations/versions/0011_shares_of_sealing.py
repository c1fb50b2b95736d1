"""Sealing gives each tenant its share, and a new token sees grants that are made beside it.

One tenant's many entries kept those of others waiting for as long as it took to link them all. And
a token made while a grant that ends by itself was not yet committed did not end with it.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

FUNCTIONS = {
    # As before, but whoever waits gets an equal part of a turn, in an order of chance.
    "guanxi_seal(most integer)": """
        RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            tenant uuid;
            number bigint;
            newest bytea;
            shown text := 'YYYY-MM-DD HH24.MI.SS.US';
            sealed timestamptz := clock_timestamp();
            gone integer;
            done integer := 0;
            share integer;
            before integer;
        BEGIN
            IF NOT EXISTS (SELECT FROM public.guanxi_audit_pending) THEN
                RETURN 0;
            END IF;
            PERFORM pg_advisory_xact_lock(7449358741832523116);
            LOOP
            before := done;
            FOR tenant, share IN
                WITH RECURSIVE waiting AS (
                    (SELECT p.tenant_id AS id FROM public.guanxi_audit_pending p
                        ORDER BY p.tenant_id LIMIT 1)
                    UNION ALL
                    SELECT (SELECT p.tenant_id FROM public.guanxi_audit_pending p
                        WHERE p.tenant_id > w.id ORDER BY p.tenant_id LIMIT 1)
                    FROM waiting w WHERE w.id IS NOT NULL
                )
                SELECT w.id, ceil((most - done)::float / count(*) OVER ()) FROM waiting w
                WHERE w.id IS NOT NULL ORDER BY random()
            LOOP
                EXIT WHEN done >= most;
                PERFORM set_config('guanxi.tenant', tenant::text, true);
                SELECT l.sequence, l.link INTO number, newest FROM public.guanxi_audit_link l
                WHERE l.tenant_id = tenant ORDER BY l.sequence DESC LIMIT 1;
                IF NOT FOUND THEN
                    number := 0;
                    newest := decode(repeat('00', 32), 'hex');
                END IF;
                WITH batch AS (
                    DELETE FROM public.guanxi_audit_pending WHERE tenant_id = tenant
                    AND audit_id = ANY (ARRAY(
                        SELECT p.audit_id FROM public.guanxi_audit_pending p
                        WHERE p.tenant_id = tenant ORDER BY p.audit_id
                        LIMIT least(share, most - done)))
                    RETURNING audit_id
                ), salted AS MATERIALIZED (
                    SELECT number + row_number() OVER (ORDER BY b.audit_id) AS sequence,
                        b.audit_id AS pending, a.*,
                        uuid_send(gen_random_uuid()) AS who_salt,
                        uuid_send(gen_random_uuid()) AS what_salt
                    FROM batch b LEFT JOIN LATERAL (
                        SELECT e.* FROM public.guanxi_audit e
                        WHERE e.tenant_id = tenant AND e.id = b.audit_id LIMIT 1) a ON true
                ), hashed AS MATERIALIZED (
                    SELECT s.sequence, s.pending, s.who_salt, s.what_salt,
                        sha256(s.who_salt || convert_to(jsonb_build_array(
                            s.actor_id, s.actor, s.origin)::text, 'UTF8')) AS who,
                        sha256(s.what_salt || convert_to(jsonb_build_array(
                            s.changes, s.reason)::text, 'UTF8')) AS what,
                        convert_to(jsonb_build_array(
                            tenant, s.sequence,
                            to_char(sealed AT TIME ZONE 'UTC', shown), s.pending,
                            to_char(s.created_at AT TIME ZONE 'UTC', shown),
                            s.action, s.model, s.row_id)::text, 'UTF8') AS rest
                    FROM salted s
                )
                INSERT INTO public.guanxi_audit_link (tenant_id, sequence, audit_id, sealed_at,
                    who_salt, what_salt, who, what, link)
                SELECT tenant, h.sequence, h.pending, sealed,
                    h.who_salt, h.what_salt, h.who, h.what,
                    public.guanxi_chain(newest, h.who || h.what || h.rest)
                        OVER (ORDER BY h.sequence)
                FROM hashed h;
                GET DIAGNOSTICS gone = ROW_COUNT;
                done := done + gone;
            END LOOP;
            EXIT WHEN done >= most OR done = before;
            END LOOP;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
            RETURN done;
        END $$
    """,
    # As before, one at a time with changes of grants.
    "guanxi_create_token(token uuid, tenant uuid, owner uuid, token_role uuid, "
    "token_label text, token_digest bytea, expires timestamptz, "
    "token_operations text[] DEFAULT NULL)": """
        RETURNS void LANGUAGE plpgsql AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            PERFORM FROM public.guanxi_tenant WHERE id = tenant FOR NO KEY UPDATE;
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
}

#: What the functions were before.
FORMER = {
    "guanxi_seal(most integer)": """
        RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            tenant uuid;
            number bigint;
            newest bytea;
            shown text := 'YYYY-MM-DD HH24.MI.SS.US';
            sealed timestamptz := clock_timestamp();
            gone integer;
            done integer := 0;
        BEGIN
            IF NOT EXISTS (SELECT FROM public.guanxi_audit_pending) THEN
                RETURN 0;
            END IF;
            PERFORM pg_advisory_xact_lock(7449358741832523116);
            LOOP
                SELECT p.tenant_id INTO tenant FROM public.guanxi_audit_pending p
                WHERE tenant IS NULL OR p.tenant_id > tenant ORDER BY p.tenant_id LIMIT 1;
                EXIT WHEN NOT FOUND OR done >= most;
                PERFORM set_config('guanxi.tenant', tenant::text, true);
                SELECT l.sequence, l.link INTO number, newest FROM public.guanxi_audit_link l
                WHERE l.tenant_id = tenant ORDER BY l.sequence DESC LIMIT 1;
                IF NOT FOUND THEN
                    number := 0;
                    newest := decode(repeat('00', 32), 'hex');
                END IF;
                WITH batch AS (
                    DELETE FROM public.guanxi_audit_pending WHERE tenant_id = tenant
                    AND audit_id = ANY (ARRAY(
                        SELECT p.audit_id FROM public.guanxi_audit_pending p
                        WHERE p.tenant_id = tenant ORDER BY p.audit_id LIMIT most - done))
                    RETURNING audit_id
                ), salted AS MATERIALIZED (
                    SELECT number + row_number() OVER (ORDER BY b.audit_id) AS sequence,
                        b.audit_id AS pending, a.*,
                        uuid_send(gen_random_uuid()) AS who_salt,
                        uuid_send(gen_random_uuid()) AS what_salt
                    FROM batch b LEFT JOIN LATERAL (
                        SELECT e.* FROM public.guanxi_audit e
                        WHERE e.tenant_id = tenant AND e.id = b.audit_id LIMIT 1) a ON true
                ), hashed AS MATERIALIZED (
                    SELECT s.sequence, s.pending, s.who_salt, s.what_salt,
                        sha256(s.who_salt || convert_to(jsonb_build_array(
                            s.actor_id, s.actor, s.origin)::text, 'UTF8')) AS who,
                        sha256(s.what_salt || convert_to(jsonb_build_array(
                            s.changes, s.reason)::text, 'UTF8')) AS what,
                        convert_to(jsonb_build_array(
                            tenant, s.sequence,
                            to_char(sealed AT TIME ZONE 'UTC', shown), s.pending,
                            to_char(s.created_at AT TIME ZONE 'UTC', shown),
                            s.action, s.model, s.row_id)::text, 'UTF8') AS rest
                    FROM salted s
                )
                INSERT INTO public.guanxi_audit_link (tenant_id, sequence, audit_id, sealed_at,
                    who_salt, what_salt, who, what, link)
                SELECT tenant, h.sequence, h.pending, sealed,
                    h.who_salt, h.what_salt, h.who, h.what,
                    public.guanxi_chain(newest, h.who || h.what || h.rest)
                        OVER (ORDER BY h.sequence)
                FROM hashed h;
                GET DIAGNOSTICS gone = ROW_COUNT;
                done := done + gone;
            END LOOP;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
            RETURN done;
        END $$
    """,
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
}


def upgrade() -> None:
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE OR REPLACE FUNCTION {signature} {body} {DEFINER}")


def downgrade() -> None:
    for signature, body in FORMER.items():
        op.execute(f"CREATE OR REPLACE FUNCTION {signature} {body} {DEFINER}")

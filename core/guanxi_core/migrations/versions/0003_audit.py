"""The audit as a chain that is sealed behind the writers, and the stored replies of mutations.

A mutation only marks its audit rows as pending; the sealer links them afterwards, so that no two
mutations ever wait for the same chain. Who did it and what changed are hashed apart, each with a
salt of its own: erasing one destroys its salt and leaves the other, and the chain, verifiable.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = {
    "guanxi_audit_pending": """
        tenant_id uuid NOT NULL,
        audit_id uuid NOT NULL,
        CONSTRAINT pk_guanxi_audit_pending PRIMARY KEY (tenant_id, audit_id)
    """,
    "guanxi_audit_link": """
        tenant_id uuid NOT NULL,
        sequence bigint NOT NULL,
        audit_id uuid NOT NULL,
        sealed_at timestamptz NOT NULL,
        who_salt bytea,
        what_salt bytea,
        who bytea NOT NULL,
        what bytea NOT NULL,
        link bytea NOT NULL,
        CONSTRAINT pk_guanxi_audit_link PRIMARY KEY (tenant_id, sequence),
        CONSTRAINT uq_guanxi_audit_link_tenant_id_audit_id UNIQUE (tenant_id, audit_id)
    """,
    "guanxi_idempotency": """
        tenant_id uuid NOT NULL,
        owner_id uuid NOT NULL,
        key text COLLATE "C" NOT NULL,
        step integer NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        request bytea NOT NULL,
        body bytea NOT NULL,
        errors bytea NOT NULL,
        CONSTRAINT pk_guanxi_idempotency PRIMARY KEY (tenant_id, owner_id, key, step)
    """,
}

#: Rows are named as GraphQL names them, ``customer_0198…``, so that one index finds them.
AUDIT_UP = (
    "DROP INDEX ix_guanxi_audit_row_id",
    "ALTER TABLE guanxi_audit RENAME at TO created_at",
    "ALTER INDEX ix_guanxi_audit_at RENAME TO ix_guanxi_audit_created_at",
    "ALTER TABLE guanxi_audit ALTER row_id TYPE text USING CASE "
    "WHEN model IS NULL THEN split_part(action, '.', 2) ELSE lower("
    r"regexp_replace(model, '([a-z0-9])([A-Z])', '\1_\2', 'g')) END || '_' || row_id::text",
    "CREATE INDEX ix_guanxi_audit_row_id ON guanxi_audit (tenant_id, row_id, id)",
    "CREATE INDEX ix_guanxi_audit_actor ON guanxi_audit (tenant_id, actor, id)",
    "CREATE INDEX ix_guanxi_audit_action ON guanxi_audit (tenant_id, action, id)",
)
AUDIT_DOWN = (
    "DROP INDEX ix_guanxi_audit_action",
    "DROP INDEX ix_guanxi_audit_actor",
    "DROP INDEX ix_guanxi_audit_row_id",
    "ALTER TABLE guanxi_audit ALTER row_id TYPE uuid USING right(row_id, 36)::uuid",
    "ALTER INDEX ix_guanxi_audit_created_at RENAME TO ix_guanxi_audit_at",
    "ALTER TABLE guanxi_audit RENAME created_at TO at",
    "CREATE INDEX ix_guanxi_audit_row_id ON guanxi_audit (tenant_id, model, row_id)",
)

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

FUNCTIONS = {
    "guanxi_audit_pends()": """
        RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.guanxi_audit_pending VALUES (NEW.tenant_id, NEW.id);
            RETURN NULL;
        END $$
    """,
    # The texts that are hashed are spelled out in guanxi_core.verifying as well: verifying must not
    # rely on functions that whoever changes rows could change too.
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
    # Rows that no sealer will ever see: their mark was taken away, or never made.
    "guanxi_audit_strays(tenant uuid)": """
        RETURNS SETOF uuid LANGUAGE plpgsql STABLE AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            RETURN QUERY
            SELECT a.id FROM public.guanxi_audit a WHERE a.tenant_id = tenant
            AND NOT EXISTS (SELECT FROM public.guanxi_audit_link l
                WHERE l.tenant_id = tenant AND l.audit_id = a.id)
            AND NOT EXISTS (SELECT FROM public.guanxi_audit_pending p
                WHERE p.tenant_id = tenant AND p.audit_id = a.id)
            ORDER BY a.id;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    # Leaves an entry of its own, which names what was erased.
    "guanxi_erase_audit(tenant uuid, entries uuid[], erase_who boolean, erase_what boolean, "
    "record_id uuid, by_whom text, why text)": """
        RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            numbers bigint[];
        BEGIN
            PERFORM pg_advisory_xact_lock(7449358741832523116);
            WHILE public.guanxi_seal(10000) > 0 LOOP
            END LOOP;
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            SELECT array_agg(l.sequence ORDER BY l.sequence) INTO numbers
            FROM public.guanxi_audit_link l
            WHERE l.tenant_id = tenant AND l.audit_id = ANY (entries)
            AND (erase_who AND l.who_salt IS NOT NULL OR erase_what AND l.what_salt IS NOT NULL);
            IF numbers IS NOT NULL THEN
                UPDATE public.guanxi_audit a SET
                    actor_id = CASE WHEN erase_who THEN NULL ELSE a.actor_id END,
                    actor = CASE WHEN erase_who THEN '' ELSE a.actor END,
                    origin = CASE WHEN erase_who THEN NULL ELSE a.origin END,
                    changes = CASE WHEN erase_what THEN '{}' ELSE a.changes END,
                    reason = CASE WHEN erase_what THEN NULL ELSE a.reason END
                WHERE a.tenant_id = tenant AND a.id = ANY (entries);
                UPDATE public.guanxi_audit_link l SET
                    who_salt = CASE WHEN erase_who THEN NULL ELSE l.who_salt END,
                    what_salt = CASE WHEN erase_what THEN NULL ELSE l.what_salt END
                WHERE l.tenant_id = tenant AND l.sequence = ANY (numbers);
                INSERT INTO public.guanxi_audit
                    (tenant_id, id, actor, action, changes, reason, origin)
                VALUES (tenant, record_id, by_whom, 'guanxi.audit.erase',
                    jsonb_build_object('entries', jsonb_build_array(NULL, to_jsonb(numbers))),
                    why, 'administration');
            END IF;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
            RETURN coalesce(cardinality(numbers), 0);
        END $$
    """,
    "guanxi_forget_replies(kept interval)": """
        RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            tenant uuid;
            gone integer;
            done integer := 0;
        BEGIN
            FOR tenant IN SELECT t.id FROM public.guanxi_tenant t LOOP
                PERFORM set_config('guanxi.tenant', tenant::text, true);
                DELETE FROM public.guanxi_idempotency i USING (
                    SELECT owner_id, key, step FROM public.guanxi_idempotency
                    WHERE tenant_id = tenant AND at < now() - kept
                    ORDER BY at LIMIT 1000 FOR UPDATE SKIP LOCKED
                ) AS old
                WHERE i.tenant_id = tenant AND i.owner_id = old.owner_id
                AND i.key = old.key AND i.step = old.step;
                GET DIAGNOSTICS gone = ROW_COUNT;
                done := done + gone;
            END LOOP;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
            RETURN done;
        END $$
    """,
}


#: The link of each row of a window: the digest of the link before it and of its own part.
CHAIN = (
    "CREATE FUNCTION guanxi_next_link(former bytea, newest bytea, part bytea) RETURNS bytea "
    "LANGUAGE plpgsql IMMUTABLE AS "
    "$$ BEGIN RETURN sha256(coalesce(former, newest) || part); END $$",
    "CREATE AGGREGATE guanxi_chain(bytea, bytea) (SFUNC = guanxi_next_link, STYPE = bytea)",
    "REVOKE ALL ON ROUTINE guanxi_next_link, guanxi_chain FROM PUBLIC",
)


def upgrade() -> None:
    for statement in AUDIT_UP:
        op.execute(statement)
    for name, body in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body})")
    op.execute("CREATE INDEX ix_guanxi_idempotency_at ON guanxi_idempotency (tenant_id, at)")
    op.execute("INSERT INTO guanxi_audit_pending SELECT tenant_id, id FROM guanxi_audit")
    for statement in CHAIN:
        op.execute(statement)
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {signature} {body} {DEFINER}")
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
    op.execute(
        "CREATE TRIGGER guanxi_audit_pends AFTER INSERT ON guanxi_audit "
        "FOR EACH ROW EXECUTE FUNCTION guanxi_audit_pends()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER guanxi_audit_pends ON guanxi_audit")
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")
    op.execute("DROP AGGREGATE guanxi_chain(bytea, bytea)")
    op.execute("DROP FUNCTION guanxi_next_link(bytea, bytea, bytea)")
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
    for statement in AUDIT_DOWN:
        op.execute(statement)

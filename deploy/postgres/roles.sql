-- Create three roles for Vaultr: one owns the tables and migrates them, one serves requests, and one
-- sequences the audit log. A fourth, optional role is for restore drills.
--
-- Run this as a superuser, or as the master user of a managed server (CREATEROLE, owner of the database).
-- You can run it any number of times. Run it after each restore, which restores tables but no rights:
--   APP_PASSWORD_FILE=… OWNER_PASSWORD_FILE=… SEQUENCER_PASSWORD_FILE=… psql -v ON_ERROR_STOP=1 -d vaultr -f roles.sql
-- Passwords are read from files, so that none is on a command line or in a history.

\set app_password `cat "$APP_PASSWORD_FILE"`
\set owner_password `cat "$OWNER_PASSWORD_FILE"`
-- Without SEQUENCER_PASSWORD_FILE the role of the sequencer is created, but cannot log in.
\set sequencer_password `test -z "$SEQUENCER_PASSWORD_FILE" || cat "$SEQUENCER_PASSWORD_FILE"`
-- With SCRATCH_PASSWORD_FILE the role for `flask backup drill` is created: it can create scratch databases,
-- and cannot connect to Vaultr's own database.
\set scratch_password `test -z "$SCRATCH_PASSWORD_FILE" || cat "$SCRATCH_PASSWORD_FILE"`
-- A missing file would mean an empty password.
SELECT 'DO $$ BEGIN RAISE EXCEPTION ''each password needs at least 20 characters; check the files that the *_PASSWORD_FILE variables name''; END $$'
  WHERE least(length(:'app_password'), length(:'owner_password')) < 20
    OR length(:'sequencer_password') BETWEEN 1 AND 19 OR length(:'scratch_password') BETWEEN 1 AND 19 \gexec

SET password_encryption = 'scram-sha-256';

SELECT 'CREATE ROLE vaultr_owner LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vaultr_owner') \gexec
SELECT 'CREATE ROLE vaultr_app LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vaultr_app') \gexec

SELECT 'CREATE ROLE vaultr_sequencer LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vaultr_sequencer') \gexec

ALTER ROLE vaultr_owner PASSWORD :'owner_password';
ALTER ROLE vaultr_app PASSWORD :'app_password';
SELECT format('ALTER ROLE vaultr_sequencer PASSWORD %L', :'sequencer_password')
  WHERE :'sequencer_password' <> '' \gexec
SELECT 'CREATE ROLE vaultr_scratch LOGIN CREATEDB' WHERE :'scratch_password' <> ''
  AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vaultr_scratch') \gexec
SELECT format('ALTER ROLE vaultr_scratch PASSWORD %L', :'scratch_password')
  WHERE :'scratch_password' <> '' \gexec
-- Only a superuser may set NOSUPERUSER, even on a role that is no superuser, so set it only if needed.
SELECT format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE', rolname) FROM pg_roles
  WHERE rolname IN ('vaultr_owner', 'vaultr_app', 'vaultr_sequencer') AND (rolsuper OR rolcreatedb OR rolcreaterole) \gexec

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"DBNAME" TO vaultr_owner;
GRANT CONNECT ON DATABASE :"DBNAME" TO vaultr_app, vaultr_sequencer;
-- The readiness check creates a temporary table to detect a full disk.
GRANT TEMPORARY ON DATABASE :"DBNAME" TO vaultr_app;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO vaultr_owner;
GRANT USAGE ON SCHEMA public TO vaultr_app, vaultr_sequencer;

-- A user without superuser rights may act as the owner only as a member of that role.
SELECT format('GRANT vaultr_owner TO %I', rolname) FROM pg_roles
  WHERE rolname = current_user AND NOT rolsuper \gexec

-- Future and existing tables. Each migration then sets the rights to the audit log again
-- (migrations/env.py).
SET ROLE vaultr_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO vaultr_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO vaultr_app;
SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO vaultr_app', schemaname, tablename)
  FROM pg_tables WHERE schemaname = 'public' AND tableowner = 'vaultr_owner'
    AND tablename NOT LIKE 'audit\_%' \gexec
-- The rights to the audit log; the source of this table is vaultr/audit/rights.py.
SELECT format('REVOKE ALL ON public.%I FROM %I', rights.name, rights.role),
    format('GRANT %s ON public.%I TO %I', rights.granted, rights.name, rights.role)
  FROM (VALUES
    ('vaultr_app', 'audit_event', 'SELECT, INSERT'),
    ('vaultr_app', 'audit_pending', 'SELECT, INSERT'),
    ('vaultr_app', 'audit_leaf', 'SELECT'),
    ('vaultr_app', 'audit_node', 'SELECT'),
    ('vaultr_app', 'audit_checkpoint', 'SELECT'),
    ('vaultr_app', 'audit_key_change', 'SELECT'),
    ('vaultr_app', 'audit_subject', 'SELECT'),
    ('vaultr_app', 'audit_prune', 'SELECT'),
    ('vaultr_app', 'audit_hold', 'SELECT'),
    ('vaultr_sequencer', 'audit_event', 'SELECT, INSERT'),
    ('vaultr_sequencer', 'audit_pending', 'SELECT, INSERT, DELETE'),
    ('vaultr_sequencer', 'audit_leaf', 'SELECT, INSERT'),
    ('vaultr_sequencer', 'audit_node', 'SELECT, INSERT'),
    ('vaultr_sequencer', 'audit_checkpoint', 'SELECT, INSERT, UPDATE(anchored_to), DELETE'),
    ('vaultr_sequencer', 'audit_key_change', 'SELECT, INSERT, UPDATE(anchored_to)'),
    ('vaultr_sequencer', 'audit_subject', 'SELECT, INSERT, UPDATE'),
    ('vaultr_sequencer', 'audit_prune', 'SELECT'),
    ('vaultr_sequencer', 'audit_hold', 'SELECT'),
    ('vaultr_sequencer', 'facts', 'SELECT, INSERT, UPDATE'),
    ('vaultr_sequencer', 'switches', 'SELECT'),
    ('vaultr_sequencer', 'alembic_version', 'SELECT')
  ) AS rights (role, name, granted)
  JOIN pg_tables ON tablename = rights.name AND schemaname = 'public' AND tableowner = 'vaultr_owner'
\gexec
-- A dump reads their last values.
SELECT format('GRANT USAGE, SELECT ON SEQUENCE %I.%I TO vaultr_app', schemaname, sequencename)
  FROM pg_sequences WHERE schemaname = 'public' AND sequenceowner = 'vaultr_owner' \gexec
RESET ROLE;

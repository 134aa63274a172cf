-- Two roles for Vaultr: one owns the tables and migrates them, one only reads and writes rows.
--
-- Run by a superuser, or by the master user of a managed server (CREATEROLE, owner of the database),
-- any number of times; also after a restore, which brings tables but no rights:
--   APP_PASSWORD_FILE=… OWNER_PASSWORD_FILE=… psql -v ON_ERROR_STOP=1 -d vaultr -f roles.sql
-- Passwords are read from files, so that none stands in a command line or a history.

\set app_password `cat "$APP_PASSWORD_FILE"`
\set owner_password `cat "$OWNER_PASSWORD_FILE"`
-- A file that is not there would be an empty password.
SELECT 'DO $$ BEGIN RAISE EXCEPTION ''passwords have at least 20 characters''; END $$'
  WHERE least(length(:'app_password'), length(:'owner_password')) < 20 \gexec

SET password_encryption = 'scram-sha-256';

SELECT 'CREATE ROLE vaultr_owner LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vaultr_owner') \gexec
SELECT 'CREATE ROLE vaultr_app LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vaultr_app') \gexec

ALTER ROLE vaultr_owner PASSWORD :'owner_password';
ALTER ROLE vaultr_app PASSWORD :'app_password';
-- Only a superuser may say NOSUPERUSER, even of a role that is none: so only where it is needed.
SELECT format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE', rolname) FROM pg_roles
  WHERE rolname IN ('vaultr_owner', 'vaultr_app') AND (rolsuper OR rolcreatedb OR rolcreaterole) \gexec

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"DBNAME" TO vaultr_owner;
GRANT CONNECT ON DATABASE :"DBNAME" TO vaultr_app;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO vaultr_owner;
GRANT USAGE ON SCHEMA public TO vaultr_app;

-- Who is no superuser may act for the owner only as its member; having made it is not enough.
SELECT format('GRANT vaultr_owner TO %I', rolname) FROM pg_roles
  WHERE rolname = current_user AND NOT rolsuper \gexec

-- What the owner makes from now on, and what is there already. Migrations take away again what
-- nobody may do to the audit log (see migrations/env.py).
SET ROLE vaultr_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO vaultr_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO vaultr_app;
SELECT format('GRANT SELECT, INSERT%s ON %I.%I TO vaultr_app',
    CASE WHEN tablename LIKE 'audit\_%' THEN '' ELSE ', UPDATE, DELETE' END, schemaname, tablename)
  FROM pg_tables WHERE schemaname = 'public' AND tableowner = 'vaultr_owner' \gexec
SELECT format('GRANT USAGE ON SEQUENCE %I.%I TO vaultr_app', schemaname, sequencename)
  FROM pg_sequences WHERE schemaname = 'public' AND sequenceowner = 'vaultr_owner' \gexec
RESET ROLE;

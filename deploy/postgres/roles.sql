-- Two roles for Vaultr: one owns the tables and migrates them, one only reads and writes rows.
--
-- Run by a superuser (or the master user of a managed server), any number of times:
--   APP_PASSWORD_FILE=… OWNER_PASSWORD_FILE=… psql -v ON_ERROR_STOP=1 -d vaultr -f roles.sql
-- Passwords are read from files, so that none stands in a command line or a history.

\set app_password `cat "$APP_PASSWORD_FILE"`
\set owner_password `cat "$OWNER_PASSWORD_FILE"`

SET password_encryption = 'scram-sha-256';

SELECT 'CREATE ROLE vaultr_owner LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vaultr_owner') \gexec
SELECT 'CREATE ROLE vaultr_app LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vaultr_app') \gexec

ALTER ROLE vaultr_owner NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
ALTER ROLE vaultr_app NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'app_password';

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"DBNAME" TO vaultr_owner;
GRANT CONNECT ON DATABASE :"DBNAME" TO vaultr_app;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO vaultr_owner;
GRANT USAGE ON SCHEMA public TO vaultr_app;

-- What the owner makes from now on, and what is there already. Migrations take away again what
-- nobody may do to the audit log (see migrations/env.py).
SET ROLE vaultr_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO vaultr_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO vaultr_app;
RESET ROLE;

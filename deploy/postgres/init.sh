#!/usr/bin/env bash
# Makes the two roles when the database is first made; the image's entry point runs it.
set -euo pipefail
export APP_PASSWORD_FILE=/run/secrets/postgres_app_password
export OWNER_PASSWORD_FILE=/run/secrets/postgres_owner_password
psql -v ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --file /etc/vaultr/roles.sql

#!/usr/bin/env bash
# Creates the roles when the database is initialised; the image's entry point runs it.
set -euo pipefail
export APP_PASSWORD_FILE=/run/secrets/postgres_app_password
export OWNER_PASSWORD_FILE=/run/secrets/postgres_owner_password
export SEQUENCER_PASSWORD_FILE=/run/secrets/postgres_sequencer_password
export SCRATCH_PASSWORD_FILE=/run/secrets/postgres_scratch_password
psql -v ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --file /etc/vaultr/roles.sql

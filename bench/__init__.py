"""Vaultr side by side with a baseline: bare Flask and psycopg2 under the same gunicorn."""

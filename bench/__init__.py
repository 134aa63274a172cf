"""Vaultr side by side with a floor: bare Flask and psycopg2 under the same gunicorn."""

"""Compare Vaultr with a baseline: bare Flask and psycopg2 under the same gunicorn."""

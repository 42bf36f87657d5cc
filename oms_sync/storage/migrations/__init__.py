"""Alembic's folder: `env.py` runs on the connection it is handed, `versions/` is history."""

"""The Postgres store: guarded set-based writes, with the progress of runs beside the data."""

from proctor.adapters.stores.postgres.store import PostgresStore, open_postgres

__all__ = ["PostgresStore", "open_postgres"]

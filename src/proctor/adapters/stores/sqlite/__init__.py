"""The SQLite store: the user's database file, with the progress of runs in it."""

from proctor.adapters.stores.sqlite.store import SqliteStore, open_sqlite, path_of

__all__ = ["SqliteStore", "open_sqlite", "path_of"]

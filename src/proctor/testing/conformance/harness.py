"""What the store suite asks of a database: the one piece that a new adapter must write."""

from __future__ import annotations

from typing import Any, Protocol

from proctor.ports import Store


class Harness(Protocol):
    """One empty database of a test's own, seen by "somebody else" and by stores.

    Subclasses of `StoreConformance` give it as the fixture `harness`, which also closes what
    it opened. Statements are plain SQL that every SQL database takes (INTEGER, TEXT, PRIMARY
    KEY, CHECK, REFERENCES, NOT NULL); where dialects differ there is a method instead.
    """

    json_type: str
    """The type of a JSON column: jsonb, JSON."""

    async def store(self) -> Store:
        """One more store on this database, with connections of its own."""

    async def sql(self, *statements: str) -> None:
        """Run statements as somebody else, each committed at once."""

    async def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query, as somebody else sees them now."""

    async def script(self, text: str) -> None:
        """Run a whole script of statements with a plain driver: it manages its transactions."""

    async def log_writes(self, table: str) -> None:
        """Record every write to a table by a trigger.

        The trigger adds a row to the table `write_log`, made here too, for every row of
        `table` that is inserted, updated or deleted.
        """

    async def stamp_writes(self, table: str, column: str) -> None:
        """Make a trigger that adds 1 to an INTEGER column of each row of `table` on update."""

    async def dump(self) -> str:
        """Every table of the database with its rows as text, Proctor's own included."""

    async def proctor_tables(self) -> bool:
        """Whether Proctor's own tables exist."""

"""The script that takes a run back without Proctor."""

from __future__ import annotations

import pytest

from proctor.ports import Store
from proctor.testing.conformance.acting import (
    every_script,
    filled,
    items_spec,
    make_items,
)
from proctor.testing.conformance.guarding import ABOUT, ABOUT_SPEC
from proctor.testing.conformance.harness import Harness

ROWS = "SELECT * FROM items ORDER BY id"


class Scripting:
    """Tests of a script for review: it does what undoing would do."""

    @pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched"])
    async def test_a_script_undoes_without_proctor(
        self, harness: Harness, store: Store, touched: bool
    ) -> None:
        """Run with a plain driver it restores the original, and leaves what others changed."""
        await make_items(harness, range(1, 8))
        await harness.sql(
            ABOUT, "UPDATE items SET normal = 'a''b;\n-- c', note = 'n' WHERE id % 2 = 0"
        )
        before = await harness.fetch(ROWS)
        spec = items_spec(missing="1 = 1", stamp="note")
        run = await filled(store, spec)
        other = await filled(store, ABOUT_SPEC, run="run-2")
        if touched:
            await harness.sql(
                "UPDATE items SET normal = 'theirs' WHERE id = 4",
                "UPDATE about SET kept = 'theirs' WHERE item = 4",
            )
        text = await every_script(store, other) + await every_script(store, run)
        assert "SELECT" in text
        await harness.script(text)
        after = await harness.fetch(ROWS)
        theirs = [4] if touched else []
        assert [r for r in after if r[0] not in theirs] == [r for r in before if r[0] not in theirs]
        assert [r[2] for r in after if r[0] in theirs] == ["theirs" for _ in theirs]
        assert [i for (i,) in await harness.fetch("SELECT item FROM about")] == theirs

    async def test_a_script_undoes_nested_fields(self, harness: Harness, store: Store) -> None:
        """Documents that nobody touched come back; others lose only our path."""
        await harness.sql(
            f"CREATE TABLE docs (id INTEGER PRIMARY KEY, doc {harness.json_type})",
            """INSERT INTO docs VALUES (1, '{"a": 1}'), (2, '{"normal": null, "a": 2.0}')""",
            """INSERT INTO docs VALUES (3, '{"a": 3}')""",
        )
        before = await harness.fetch("SELECT * FROM docs WHERE id < 3 ORDER BY id")
        spec = items_spec(source="docs", fills=("doc.normal",))
        run = await filled(store, spec, lambda _row: {"style": ["été", "it's"]})
        await harness.sql(
            """UPDATE docs SET doc = '{"b": 4, "normal": {"style": ["été", "it''s"]}}' """
            "WHERE id = 3"
        )
        await harness.script(await every_script(store, run))
        assert await harness.fetch("SELECT * FROM docs WHERE id < 3 ORDER BY id") == before
        page = await store.read_keys(spec, [(3,)])
        assert page.rows[0]["doc"] == {"b": 4}

"""A plan and a dry run write nothing: triggers that record every write stay silent."""

import pytest


@pytest.mark.parametrize("backfill", ["normalize", "describe", "lower_style"])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_plan_and_dry_run_write_nothing(make_world, kind, backfill):
    """P7: no row is written, no table made, not even Proctor's own; no byte of a file moves."""
    world = make_world(kind, backfill)
    world.watch_definitions()
    before, trace = world.rows(), world.trace()
    report = world.live("plan", "dry_run", "status", "doctor")
    assert report["dry_run"]["previews"] == 10
    assert world.query("SELECT * FROM audit") == []
    assert world.rows() == before
    assert world.trace() == trace
    world.live("run")
    assert world.query("SELECT * FROM audit"), "the trap itself must work"
    assert world.trace() != trace

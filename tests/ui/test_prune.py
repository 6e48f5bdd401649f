"""Forgetting a person: in the database, and in the files that a run left on disk."""

import json

from pathlib import Path


def test_the_reports_of_a_run_are_written_anew_without_what_was_forgotten(shop, proctor):
    """Their sample shows rows: a person who asked to be erased must not live on in a file."""
    ended = proctor("run", "normalize_email", "--json").json
    files = [Path(ended["reports"][form]) for form in ("md", "html", "json")]
    shown = json.loads(files[2].read_text())["sample"][0]
    value = shown["after"]["email_normalized"]
    assert all(value in file.read_text() for file in files[:2])
    (files[0].parent / "notes.txt").write_text(value)
    key = str(shown["key"][0])
    pruned = proctor("prune", "--run", ended["id"], "--keys", key, "--yes", "--json")
    assert pruned.json["reports_renewed"] == sorted(str(file) for file in files)
    assert pruned.json["reports_stale"] == [str(files[0].parent / "notes.txt")]
    assert pruned.code == 1
    for file in files:
        assert value not in file.read_text()
    (files[0].parent / "notes.txt").unlink()
    words = ("prune", "--run", ended["id"], "--keys", "1", "--yes")
    told = proctor(*words)
    assert told.code == 0
    assert all(str(file) in told.out for file in files)


def test_images_of_rows_that_were_undone_are_forgotten_too(shop, proctor):
    """A run that was rolled back keeps images: they too are of the person who asks."""
    run = proctor("run", "normalize_email", "--json").json
    proctor("rollback", run["id"], "--yes")
    pruned = proctor("prune", "--table", run["target"], "--keys", "1,2", "--yes", "--json")
    assert (pruned.json["rows"], [r["run"] for r in pruned.json["runs"]]) == (0, [run["id"]])
    assert all(row["key"] != [1] for row in proctor("report", run["id"], "--json").json["sample"])

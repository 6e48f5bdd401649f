"""Images of rows that a called service wrote: compared by verify, forgotten by prune, masked."""

from paid.application import SESSIONS, InFile
from proctor.adapters.stores import touchbook


def images(app):
    """Every image that is kept, by unit."""
    table = "proctor_touches" if isinstance(app.place, InFile) else "proctor.touches"
    kept = {}
    for unit, before, after in app.place.sql(f'SELECT unit, "before", "after" FROM {table}'):
        looks = touchbook.unpack_looks(before) if before else []
        found = touchbook.unpack_deltas(after) if after else []
        kept[unit] = (
            [list(one.rows.values()) for one in looks],
            [(d.before, d.after) for d in found],
        )
    return kept


def test_verify_compares_every_row_that_the_service_wrote(app):
    """P4: a changed row and one that is gone fail it; what nobody touched passes."""
    run = app.run()
    seen = app.proctor("verify", run, "--json")
    assert (seen.code, seen.json["verdict"]) == (0, "pass"), seen.said
    rows = 3 * SESSIONS
    assert seen.json["touched"] == {"written": rows, "held": rows, "changed": 0}
    app.place.sql("INSERT INTO appeals VALUES (5)")  # it stands in the way of an undo alone
    app.place.sql("UPDATE fc_scores SET score = 0.9 WHERE id = 1")
    app.place.sql("INSERT INTO drafts VALUES (4, 4, 'another')")
    seen = app.proctor("verify", run, "--json")
    assert (seen.code, seen.json["verdict"]) == (1, "fail")
    assert seen.json["touched"] == {"written": rows, "held": rows - 2, "changed": 2}
    assert "16 of 18 rows of called services are as those left them" in seen.json["reason"]


def test_a_units_images_are_forgotten_with_it_and_the_others_stay(app):
    """P3: a person's erasure leaves no image of theirs, says how many rows, and harms nobody."""
    before = app.data
    run = app.run()
    asked = app.proctor("prune", "--run", run, "--keys", "2,99", "--dry-run", "--json")
    assert asked.json["would_forget"] == 3, asked.said
    done = app.proctor("prune", "--run", run, "--keys", "2,99", "--yes", "--json")
    assert done.json["rows"] == 3, done.said
    kept = images(app)
    assert kept["[2]"] == ([], [])
    assert all(deltas for unit, (_, deltas) in kept.items() if unit != "[2]")
    verified = app.proctor("verify", run, "--json").json
    assert verified["verdict"] == "inconclusive"
    assert "3 rows not looked at: images were pruned" in verified["reason"]
    scored = app.data
    ended = app.proctor("rollback", run, "--touched", "--yes", "--json")
    assert ended.code == 1
    reasons = {(row["table"], row["reason"]) for row in ended.json["touched"]["left"]}
    tables = ("fc_scores", "profiles", "drafts")
    assert reasons == {(table, "its images were pruned") for table in tables}
    mine = {table: [row for row in rows if 2 in row] for table, rows in scored.items()}
    for table in tables:
        others = [row for row in before[table] if 2 not in row[:2]]
        assert [r for r in app.data[table] if r not in mine[table]] == others


def test_one_row_of_a_touched_table_is_forgotten_in_every_run(app):
    """P3: by the key of its own table, also where the service changed nothing of it."""
    run = app.run()
    assert (
        app.proctor("prune", "--table", "profiles", "--keys", "3", "--yes", "--json").json["rows"]
        == 1
    )
    looks, deltas = images(app)["[3]"]
    assert looks == []
    assert len(deltas) == 2
    assert len(images(app)["[4]"][1]) == 3
    seen = app.proctor("prune", "--table", "fc_scores", "--keys", "100", "--yes", "--json")
    assert seen.json["rows"] == 0, seen.said
    assert images(app)["[1]"][0] == [], "the score of old was seen, though the service left it"
    assert len(images(app)["[1]"][1]) == 3
    assert app.proctor("prune", "--table", "fc_scores", "--yes", "--json").json["rows"] == SESSIONS
    ended = app.proctor("rollback", run, "--touched", "--yes", "--json")
    assert len(ended.json["touched"]["left"]) == SESSIONS + 1


def test_a_units_own_row_is_forgotten_by_the_table_that_it_stands_in(app):
    """P3: whoever erases a person types the table and key of that person, not a run."""
    run = app.run()
    done = app.proctor("prune", "--table", "sessions", "--keys", "5", "--yes", "--json")
    assert (done.json["rows"], [r["run"] for r in done.json["runs"]]) == (3, [run])
    assert images(app)["[5]"] == ([], [])
    assert len(images(app)["[4]"][1]) == 3


def test_by_run_and_by_age_all_images_go(app):
    """P3: of a run that was undone, too: they hold what stood in the rows."""
    run = app.run()
    assert app.proctor("rollback", run, "--touched", "--yes").code == 0
    done = app.proctor("prune", "--older-than", "0d", "--yes", "--json")
    assert (done.json["rows"], [r["run"] for r in done.json["runs"]]) == (0, [run])
    assert set(map(str, images(app).values())) == {"([], [])"}
    assert app.proctor("prune", "--run", run, "--yes", "--json").json["runs"] == []


def test_keys_that_are_sensitive_are_masked_where_they_were_left_alone(app):
    """P10: what a rollback lists goes to terminals and tickets."""
    app.write(more='\n    sensitive=("id",),')
    run = app.run()
    app.place.sql("UPDATE fc_scores SET score = 0.9 WHERE id = 1")
    shown = app.proctor("rollback", run, "--touched", "--dry-run")
    assert "•••" in shown.said
    ended = app.proctor("rollback", run, "--touched", "--yes", "--json")
    (left,) = ended.json["touched"]["left"]
    assert (left["key"], left["unit"]) == (["•••"], ["•••"])

"""Another model makes rows eligible again; old values stay until the new ones are there."""

import json

import pytest

from proctor.testing.vendor import Fault, Flaw, Served, right_vector

CODE = """
import json
from proctor import backfill, table

@backfill(
    table("songs", key="id", columns=("id", "title")),
    fills="next", stamp="next_by", made_by="writer", version="1", batch=10, concurrency=4,
)
async def about(songs, ctx):
    vectors = await ctx.embed([song["title"] for song in songs], too_long="cut")
    return [{"next": json.dumps(vector)} for vector in vectors]

activate = backfill(
    table("songs", key="id"),
    fills=("emotions", "confidence"),
    sql={"emotions": "next", "confidence": "next_by"},
    missing="next_by IS NOT NULL AND confidence IS NOT next_by",
    name="activate",
)
"""
OLD, NEW = "text-embedding-3-small", "text-embedding-3-large"


@pytest.fixture
def vectors(songs):
    """Songs with a column of vectors, a column beside it for the next, and what each is made by."""
    for model in (OLD, NEW):
        songs.vendor.serve(Served(name=model, kind="embed", dimensions=8, most_input=50))
    songs.sql("ALTER TABLE songs ADD COLUMN next")
    songs.sql("ALTER TABLE songs ADD COLUMN next_by")
    songs.write(CODE)
    made_by(songs, OLD)
    return songs


def made_by(project, model, **said):
    """Configure the provider's model."""
    project.configure(model=f'"openai:{model}"', price="{ input = 0.02 }", dimensions=8, **said)


def column(project, name):
    """Title to a column's value."""
    return dict(project.sql(f"SELECT title, {name} FROM songs"))


def test_the_stamp_names_the_model_and_another_one_is_eligible(vectors):
    """And of other dimensions, too; the same again is not."""
    assert vectors.run().json["buckets"]["written"] == 40
    assert set(column(vectors, "next_by").values()) == {f"1 openai:{OLD}/8"}
    assert vectors.run().json["buckets"]["written"] == 0
    made_by(vectors, NEW)
    again = vectors.run()
    assert again.json["buckets"]["written"] == 40
    assert again.json["version"] == f"1 openai:{NEW}/8"
    assert set(column(vectors, "next_by").values()) == {f"1 openai:{NEW}/8"}


def test_old_vectors_stay_until_the_new_ones_are_there(vectors):
    """A row whose new vector is none keeps its old one through it all, with its old stamp."""
    assert vectors.run().code == 0
    assert vectors.proctor("run", "activate").code == 0
    old = column(vectors, "emotions")
    made_by(vectors, NEW)
    vectors.vendor.script(Fault(flaw=Flaw.ZERO, match="song 7", times=-1))
    filled = vectors.run()
    assert filled.json["buckets"]["written"] == 39
    assert filled.json["buckets"]["failed"] == 1
    assert "all of its 8 numbers are zero" in vectors.proctor("failures", filled.json["id"]).said
    assert column(vectors, "emotions") == old
    activated = vectors.proctor("run", "activate", "--json")
    assert activated.json["buckets"]["written"] == 39
    stamps = column(vectors, "confidence")
    assert stamps.pop("song 7") == f"1 openai:{OLD}/8"
    assert set(stamps.values()) == {f"1 openai:{NEW}/8"}
    assert column(vectors, "emotions")["song 7"] == old["song 7"]
    assert vectors.proctor("rollback", activated.json["id"], "--yes").code == 0
    assert column(vectors, "emotions") == old


def test_every_kind_of_what_is_no_vector_is_listed_and_not_written(vectors):
    """Each with its numbers; a row beside it in the same call is written."""
    for flaw, title in FLAWS.items():
        vectors.vendor.script(Fault(flaw=flaw, match=title, times=-1))
    ended = vectors.run()
    assert ended.json["buckets"] | {"failed": 3, "written": 37} == ended.json["buckets"]
    told = vectors.proctor("failures", ended.json["id"]).said
    assert "it has 9 dimensions, and 8 were to come" in told
    assert "all of its 8 numbers are zero" in told
    assert "2 of its 8 numbers are NaN or Infinity" in told
    empty = {title for title, vector in column(vectors, "next").items() if vector is None}
    assert empty == set(FLAWS.values())


FLAWS = {Flaw.WRONG_SHAPE: "song 5", Flaw.ZERO: "song 15", Flaw.NOT_A_NUMBER: "song 25"}


def test_texts_that_were_cut_are_counted_in_the_report(vectors):
    """By provider and by what was done about them."""
    long = "the harbour lies quiet under the winter moon " * 10
    vectors.sql("UPDATE songs SET title = ? || id WHERE id % 4 = 0", long)
    made_by(vectors, OLD, max_input=50)
    ended = vectors.run()
    assert ended.json["buckets"]["written"] == 40
    report = vectors.proctor("report", ended.json["id"], "--format", "json")
    (told,) = [w for w in json.loads(report.out)["warnings"] if "too long" in w]
    assert told.startswith("10 texts too long for provider writer: only the beginning")
    cut = json.loads(column(vectors, "next")[f"{long}4"])
    kept = long[: long.rindex("lies", 0, 151)]  # fifty tokens of three letters, back to a word
    assert cut == pytest.approx(right_vector(kept, 8), abs=1e-6)


def test_made_by_nobody_is_told(vectors):
    vectors.write(CODE.replace('made_by="writer"', 'made_by="embedder"'))
    ended = vectors.run()
    assert ended.code == 2
    assert "made_by='embedder'; there are writer" in ended.said


def test_made_by_needs_a_stamp(vectors):
    vectors.write(CODE.replace('stamp="next_by", ', ""))
    ended = vectors.run()
    assert ended.code == 2
    assert "made_by= without stamp=" in ended.said

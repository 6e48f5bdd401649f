"""ctx.http: what HTTP services answer is kept, limited and paid as what models answer is."""

from decimal import Decimal

import pytest

from paid.conftest import KEY
from paid.songs import Songs
from proctor.app.terms import terms_of
from proctor.config import load
from proctor.testing.vendor import Fault, Flaw, Served, right_reply, serve_vendor
from proctor.ui.cli import main

CODE = """
from pydantic import BaseModel
from proctor import Skip, Unanswered, backfill, table

class Book(BaseModel):
    isbn: str

@backfill(
    table("songs", key="id", columns=("id", "title")),
    fills="emotions", version="1", concurrency=16, missing="emotions IS NULL",
)
async def about(song, ctx):
    {body}
"""
ASKS = """isbn = await ctx.http(provider="resolver", title=song["title"])
    return {"emotions": isbn}"""
SETTINGS = {
    "json": '"$.items[0].isbn"',
    "headers": '{ Authorization = "Bearer ${LOCAL_KEY}" }',
    "price": "{ request = 0.01 }",
    "concurrency": 16,
}


class Books(Songs):
    """The same songs, resolved by a service."""

    def configure(self, *, others="", **settings):
        url = self.vendor.service_url("resolver") + "/isbn?title={title}"
        told = {"url": f'"{url}"', **SETTINGS, **settings}
        lines = "\n".join(f"{name} = {it}" for name, it in told.items() if it is not None)
        (self.root / "proctor.toml").write_text(
            'backfills = ["backfills"]\n[env.local]\nstore = "sqlite:///shop.db"\n'
            f"{others}\n[providers.resolver]\n{lines}\n"
        )

    def says(self, body):
        self.write(CODE.replace("{body}", body))

    @property
    def books(self):
        return self.vendor.books()["resolver"]

    def resolved(self):
        """Title to what was filled in."""
        return dict(self.sql("SELECT title, emotions FROM songs ORDER BY id"))


def isbn(title):
    """What the service answers for a title."""
    return right_reply("isbn", {"title": title})["items"][0]["isbn"]


@pytest.fixture
def vendor():
    with serve_vendor(
        Served(name="resolver", kind="service", request_usd=Decimal("0.01")), key=KEY
    ) as up:
        yield up


@pytest.fixture
def books(tmp_path, monkeypatch, capsys, vendor):
    """Twelve songs without an ISBN, and this process inside the project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_KEY", KEY)

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    project = Books(tmp_path, vendor, call, rows=12)
    project.says(ASKS)
    yield project
    project.end()


def right(books):
    """Whether every row holds the service's answer to its own title."""
    return books.resolved() == {title: isbn(title) for title in books.resolved()}


def test_each_row_gets_its_own_answer_and_it_is_paid_once(books):
    """P5: titles of any characters arrive as they are; a second run asks nothing."""
    titles = ["a&b=c", "100 %", "naïve/été?", "plus + hash #", "{title} ${LOCAL_KEY}", "song 1"]
    books.add(titles)
    ended = books.run()
    assert ended.code == 0, ended.said
    assert right(books)
    assert (books.books.calls, books.books.paid_again) == (17, 0), "song 1 is there twice"
    books.sql("UPDATE songs SET emotions = NULL")
    assert books.run().code == 0
    assert right(books)
    assert books.books.calls == 17
    assert KEY not in " ".join(books.heard)
    for file in books.root.rglob("*.db*"):
        assert KEY.encode() not in file.read_bytes(), file


def test_a_lawful_404_is_none_and_is_kept(books):
    """Only where `expect` says so; otherwise the row fails, and is told what to write."""
    books.add(["unknown book"])
    books.configure(expect="[200, 404]")
    books.says("""isbn = await ctx.http(title=song["title"])
    return {"emotions": isbn or "none"}""")
    assert books.run().code == 0
    assert books.resolved().pop("unknown book") == "none"
    assert books.books.calls == 13
    books.sql("UPDATE songs SET emotions = NULL")
    books.configure()
    ended = books.run("--accept-changes", "providers")
    assert ended.json["buckets"] | {"written": 12, "failed": 1} == ended.json["buckets"], ended.said
    assert "its expect no longer names" in books.proctor("failures", ended.json["id"]).said
    assert books.books.calls == 13


def test_a_status_that_is_no_answer_fails_its_row_and_says_what_to_write(books):
    """404 of one title harms no other."""
    books.add(["unknown book"])
    ended = books.run()
    assert ended.json["buckets"] | {"written": 12, "failed": 1} == ended.json["buckets"], ended.said
    assert "404" in books.proctor("failures", ended.json["id"]).said


def test_another_part_of_a_kept_reply_costs_nothing(books):
    """`json` and `output=` read what is there."""
    assert books.run().code == 0
    books.sql("UPDATE songs SET emotions = NULL")
    books.configure(json='"$.items[*]"')
    books.says("""found = await ctx.http(title=song["title"])
    return {"emotions": Book.model_validate(found[0]).isbn}""")
    assert books.run().code == 0
    books.sql("UPDATE songs SET emotions = NULL")
    books.configure(json='"$.items[0]"')
    books.says("""found = await ctx.http(title=song["title"], output=Book)
    return {"emotions": found.isbn}""")
    assert books.run().code == 0
    assert right(books)
    assert books.books.calls == 12


@pytest.mark.parametrize("flaw", [Flaw.WRONG_SHAPE, Flaw.ZERO])
def test_a_reply_without_the_wanted_part_fails_its_row(books, flaw):
    """P8: nothing is no ISBN; the function may catch it."""
    books.vendor.script(Fault(flaw=flaw, match="song 3"))
    ended = books.run()
    assert ended.json["buckets"] | {"written": 11, "failed": 1} == ended.json["buckets"], ended.said
    assert "has nothing at $.items[0].isbn" in books.proctor("failures", ended.json["id"]).said
    books.says("""try:
        return {"emotions": await ctx.http(title=song["title"])}
    except Unanswered:
        return {"emotions": "?"}""")
    assert books.run().code == 0
    assert books.resolved()["song 3"] == "?"
    assert books.books.calls == 12


def test_slices_in_processes_of_their_own_share_limits_and_answers(books):
    """P6: two processes, one daily quota."""
    books.configure(daily=8)
    ended = books.ended(books.spawn("run", "about", "--json", "--no-wait", "--processes", "2"))
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert (books.books.calls, books.books.paid_again) == (8, 0)


def test_a_budget_holds_by_the_services_own_count(books):
    """P6: five requests at a cent are five, however many rows ask at once."""
    books.configure(budget_usd='"0.05"')
    ended = books.run()
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert books.books.usd <= Decimal("0.05")
    assert "of the budget of $0.05" in ended.json["reason"]


def test_a_daily_quota_of_ours_or_theirs_pauses(books):
    """P6: known before, or told by a 429 that speaks of the day; nothing is paid again after it."""
    books.configure(daily=5)
    ended = books.run("--no-wait")
    assert (ended.code, books.books.calls) == (3, 5), ended.said
    books.configure()
    books.vendor.limit("resolver", daily=8)
    ended = books.run("--accept-changes", "providers", "--no-wait")
    assert (ended.code, books.books.calls) == (3, 8), ended.said
    assert "quota is used up" in ended.json["reason"]
    books.vendor.limit("resolver", daily=None)
    assert books.run().code == 0
    assert right(books)
    assert (books.books.calls, books.books.paid_again) == (12, 0)


@pytest.mark.parametrize(
    "flaw", [Flaw.UNAVAILABLE, Flaw.LIMITED, Flaw.RESET_LATE, Flaw.MALFORMED, Flaw.PORTAL]
)
def test_what_breaks_once_is_asked_again(books, flaw):
    """A 429, a 503, a reset, half a reply, a page of HTML: the row is right in the end."""
    books.vendor.script(Fault(flaw=flaw, match="song 3", seconds=0.1))
    ended = books.run()
    assert ended.code == 0, ended.said
    assert right(books)
    assert books.books.calls == 12 + flaw.paid


def test_a_call_with_effects_is_made_again_under_the_same_key(books):
    """At least once: the reply was lost, and the service, which knows the key, works once."""
    url = books.vendor.service_url("resolver")
    books.configure(
        url=f'"{url}/score/{{title}}"',
        method='"POST"',
        body='{ title = "{title}", weight = 1.5, tags = ["a", "{title}"] }',
        json='"$.asked.body.title"',
    )
    books.vendor.script(Fault(flaw=Flaw.RESET_LATE, match="song 3"))
    ended = books.run()
    assert ended.code == 0, ended.said
    assert books.resolved() == {title: title for title in books.resolved()}
    assert books.books.calls == 13
    assert list(books.books.done.values()) == [1] * 12


def test_a_service_that_does_not_know_the_key_works_twice(books):
    """Why the docs say at least once."""
    url = books.vendor.service_url("resolver")
    books.configure(url=f'"{url}/score/{{title}}"', method='"POST"', idempotency_key='""')
    books.vendor.script(Fault(flaw=Flaw.RESET_LATE, match="song 3"))
    assert books.run().code == 0
    assert sorted(books.books.done.values()) == [1] * 11 + [2]


def test_a_plan_calls_nothing_without_a_word_and_forecasts_with_it(books):
    """P7: what the sample asked is shown, kept, and priced by the request."""
    plan = books.proctor("plan", "about", "--json")
    assert plan.code == 0, plan.said
    assert books.books.calls == 0
    assert "asks a provider" in plan.said
    plan = books.proctor("plan", "about", "--paid-sample", "4", "--json").json
    assert books.books.calls == 4
    assert Decimal(plan["paid"]["usd"]) == Decimal("0.12")
    assert Decimal(plan["paid"]["paid"]) == Decimal("0.04")
    assert {row["after"]["emotions"] for row in plan["sample"]} <= set(map(isbn, books.resolved()))
    assert books.run().code == 0
    assert books.books.calls == 12


def test_verify_computes_again_from_kept_replies(books):
    """It needs neither the service nor its key."""
    run = books.run().json["id"]
    books.vendor.stop()
    found = books.proctor("verify", run, "--json")
    assert found.code == 0, found.said
    assert found.json["recomputed"] == 12


def test_a_plan_is_void_when_a_template_changed(books):
    """P9: by the key of the section; the secret is in neither."""
    plan = books.root / "plan.json"
    assert books.proctor("plan", "about", "--out", plan).code == 0
    assert KEY not in plan.read_text()
    books.configure(headers='{ Authorization = "Bearer ${LOCAL_KEY}", X-Region = "eu" }')
    ended = books.run("--plan", plan)
    assert ended.code == 3
    assert "providers.resolver.headers.X-Region was not given and is eu" in ended.said
    assert books.books.calls == 0


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ({"body": '{ t = "{title}", n = 1 }'}, {"body": '{ t = "{title}", n = "1" }'}),
        ({"body": '["{title}", "a, b"]'}, {"body": '["{title}", "a", "b"]'}),
        ({"body": '{ t = "{title}" }'}, {"body": '{ t = "{title}", n = "" }'}),
        ({"body": '{ t = "{title}", n = {} }'}, {"body": '{ t = "{title}" }'}),
        ({"body": '{ "t.a" = "{title}" }'}, {"body": '{ t = { a = "{title}" } }'}),
        ({"headers": '{ A = "x" }'}, {"headers": '{ A = "x", B = "" }'}),
    ],
)
def test_any_other_body_or_header_is_other_terms(books, was, now):
    """P9: what is sent would be another question, so it is another approval."""
    post = {"method": '"POST"', "url": f'"{books.vendor.service_url("resolver")}/x"'}
    told = []
    for settings in (was, now):
        books.configure(**post, **settings)
        told.append(terms_of(load(books.root)))
    assert told[0] != told[1]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ('ctx.http(provider="resolver")', "given: nothing; its templates name: title"),
        ('ctx.http(title="x", year=1)', "given: title, year; its templates name: title"),
        ('ctx.http(title="x", output=dict)', "output= of ctx.http is a pydantic model"),
        ('ctx.http(provider="finder", title="x")', "there is no provider named finder"),
        ('ctx.llm("x", provider="resolver")', "provider resolver is an HTTP service"),
        ('ctx.llm("x")', "no provider was named"),
    ],
)
def test_a_wrong_call_is_told_before_anything_is_sent(books, call, told):
    """The author's error, once, and not row after row."""
    books.says(f"return {{'emotions': await {call}}}")
    ended = books.run()
    assert ended.code == 2
    assert told in ended.said
    assert books.books.calls == 0


def test_a_value_that_cannot_be_sent_fails_its_row(books):
    """A NULL title, handed over as it is."""
    books.sql("UPDATE songs SET title = NULL WHERE id = 3")
    ended = books.run()
    assert ended.json["buckets"] | {"written": 11, "failed": 1} == ended.json["buckets"], ended.said
    said = books.proctor("failures", ended.json["id"]).said
    assert "ctx.http cannot put None in the place of {title}" in said
    assert books.books.calls == 11


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"price": None}, "price = { request = … }"),
        ({"json": '"items"'}, "json of [providers.resolver] is no JSON path"),
        ({"headers": '{ Authorization = "Bearer ${NOT_SET}" }'}, "variable NOT_SET"),
        ({"url": '"${NOT_SET}/isbn?title={title}"'}, "variable NOT_SET"),
        ({"url": '"http://127.0.0.1:1/?t={title}"'}, "does not answer"),
    ],
)
def test_a_service_that_cannot_be_asked_ends_the_run(books, settings, told):
    """One clear error; doctor, which calls nobody, says the same beforehand."""
    books.configure(**settings)
    ended = books.run()
    assert ended.code == 2
    assert told in ended.said
    assert books.books.calls == 0
    if told != "does not answer":
        assert "NOT_SET" in told or told in books.proctor("doctor").said


def test_a_long_secret_that_a_service_repeats_in_its_own_spelling_is_not_shown_in_part(
    books, monkeypatch
):
    """P12: its words are cut for a line, and half a secret is none that a net could find."""
    monkeypatch.setenv("LOCAL_KEY", 'k"' + "k" * 400)
    ended = books.run()
    assert "does not let us in" in ended.said
    assert "kkkk" not in " ".join(books.heard)


def test_doctor_tells_what_a_service_may_be_asked(books):
    """Method and address as they are written, what it costs, and where its secret lies."""
    books.configure(daily=15_000, budget_usd='"3"')
    assert books.run().code == 0
    said = books.proctor("doctor", "--json").json
    (found,) = [f for f in said["findings"] if f["subject"] == "provider resolver"]
    assert found["ok"], found
    for words in (
        f"GET {books.vendor.service_url('resolver')}/isbn",
        "LOCAL_KEY is set",
        "$0.01 a request (proctor.toml)",
        "12 of 15,000 requests today",
        "of $3",
    ):
        assert words in found["detail"]


def test_a_model_and_a_service_are_each_the_only_one_of_their_kind(books):
    """Neither call needs a name."""
    books.vendor.serve(Served(name="gpt-5-mini"))
    books.configure(
        others=f'[providers.writer]\nmodel = "openai:gpt-5-mini"\nkey_env = "LOCAL_KEY"\n'
        f'base_url = "{books.vendor.openai_url}"\nprice = {{ input = 0 }}\n'
    )
    books.says("""said = await ctx.llm(f"What is {song['title']}?")
    return {"emotions": f"{await ctx.http(title=song['title'])} {said}"}""")
    ended = books.run()
    assert ended.code == 0, ended.said
    assert all(text.startswith(isbn(title)) for title, text in books.resolved().items())


def test_a_dry_run_hears_none_and_unanswered_as_a_run_does(books):
    """P7: over the pipe to the child, nothing that is lawful and a reply that is no answer."""
    books.sql("DELETE FROM songs WHERE id > 1")
    books.add(["unknown book"])
    books.vendor.script(Fault(flaw=Flaw.WRONG_SHAPE, match="song 0"))
    books.configure(expect="[200, 404]")
    books.says("""try:
        isbn = await ctx.http(title=song["title"])
    except Unanswered:
        return {"emotions": "unanswered"}
    return {"emotions": isbn or "nothing"}""")
    dry = books.proctor("dry-run", "about", "--paid-sample", "2", "--json")
    assert dry.code == 0, dry.said
    found = {row["after"]["emotions"] for row in dry.json["previews"]}
    assert found == {"unanswered", "nothing"}
    assert books.run().code == 0
    assert set(books.resolved().values()) == found
    assert books.books.calls == 2

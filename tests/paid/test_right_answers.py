"""A paid run fills every row, asks every question once, and asks nothing that was answered."""

from paid.songs import CODE


def test_every_row_gets_the_right_answer_and_every_question_is_asked_once(songs):
    """By the vendor's own books, not by ours."""
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert ended.json["buckets"]["written"] == 40
    assert not songs.wrong()
    assert (songs.books.calls, len(songs.books.asked), songs.books.paid_again) == (40, 40, 0)


def test_rows_with_the_same_question_ask_once(songs):
    """Also while the answer is still on its way."""
    songs.vendor.limit("gpt-5-mini", latency_s=0.2)
    songs.sql("UPDATE songs SET title = 'song ' || (id % 4)")
    assert songs.run().code == 0
    assert not songs.wrong()
    assert songs.books.calls == 4


def test_another_run_over_the_same_rows_asks_nothing(songs):
    """P5: after a rollback the answers are still there."""
    first = songs.run()
    assert songs.proctor("rollback", first.json["id"], "--yes").code == 0
    assert set(songs.rows().values()) == {(None, None)}
    again = songs.run()
    assert again.code == 0, again.said
    assert again.json["id"] != first.json["id"]
    assert not songs.wrong()
    assert songs.books.calls == 40


def test_a_plan_and_its_function_pay_nothing(songs):
    """P7: no paid call without an explicit sample size."""
    songs.proctor("plan", "about")
    songs.proctor("dry-run", "about")
    assert songs.books.calls == 0
    assert set(songs.rows().values()) == {(None, None)}


def test_a_list_function_may_ask_for_each_of_its_rows(songs):
    """One call each, together."""
    songs.write(
        CODE.format(concurrency=4)
        .replace('version="1"', 'version="1", batch=5')
        .replace("async def about(song, ctx):", "async def about(group, ctx):")
        .partition("    said =")[0]
        + "    import asyncio\n"
        "    said = [f\"What does {song['title']} feel like?\" for song in group]\n"
        "    asked = [ctx.llm(text, output=Song) for text in said]\n"
        "    return [a.model_dump() for a in await asyncio.gather(*asked)]\n"
    )
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    assert songs.books.calls == 40


def test_several_processes_share_answers_and_limits(songs):
    """--processes 2: a slice is told no key; each finds it in its own environment."""
    songs.add(f"song {number}" for number in range(40, 300))
    with (songs.root / "proctor.toml").open("a") as file:
        file.write("\n[run]\nchunk_rows = 20\n")
    ended = songs.ended(songs.spawn("run", "about", "--json", "--processes", "2"), 120)
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    assert songs.books.calls == 300

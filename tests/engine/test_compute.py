"""Calling the author's function: every kind of it, every way in which it can misbehave."""

import asyncio
import itertools
import threading
import traceback

from datetime import UTC, datetime

import pytest

from proctor.authoring import Skip, Unanswered, backfill, table
from proctor.core.answer import Failure, Refuse
from proctor.core.settle import settle
from proctor.engine.compute import compute
from proctor.errors import DefinitionError, OutOfQuota, ProviderRefused
from projects import page_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
T = table("t", key="id")


async def computed(function, rows, *, params=None, **words):
    made = backfill(T, **{"fills": "x", **words})(function)
    return await compute(made, page_of(rows), params=params, now=NOW)


def rows_of(count):
    return [{"id": i, "n": i} for i in range(count)]


async def test_a_row_function_answers_each_row_in_order():
    """One answer a row, in step with the page."""

    def double(row):
        return Skip("zero") if not row["n"] else {"x": row["n"] * 2}

    assert await computed(double, rows_of(3)) == [Skip("zero"), {"x": 2}, {"x": 4}]


async def test_synchronous_functions_leave_the_event_loop_alone():
    """A whole page is computed in one other thread, so that heartbeats go on meanwhile."""
    threads, ticks = set(), []
    gate = threading.Event()

    def slow(row):
        threads.add(threading.get_ident())
        assert gate.wait(10)
        return {"x": 1}

    task = asyncio.create_task(computed(slow, rows_of(3)))
    while not threads:  # the loop runs while the function waits
        await asyncio.sleep(0)
        ticks.append(1)
    gate.set()
    await task
    assert ticks
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_a_dict_that_is_filled_again_and_again_keeps_each_rows_values():
    """The answer is what it was when it was returned."""
    out = {}

    def reuse(row):
        out["x"] = row["n"]
        return out

    assert await computed(reuse, rows_of(3)) == [{"x": 0}, {"x": 1}, {"x": 2}]

    async def reuse_async(row):
        out["x"] = row["n"]
        return out

    assert await computed(reuse_async, rows_of(3), concurrency=1) == [{"x": 0}, {"x": 1}, {"x": 2}]


async def test_a_list_function_gets_groups_in_order():
    """At most `batch` rows a call, the last group smaller."""
    sizes = []

    def several(rows):
        sizes.append(len(rows))
        return [{"x": row["n"]} for row in rows]

    answers = await computed(several, rows_of(7), batch=3)
    assert answers == [{"x": i} for i in range(7)]
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_group_that_raises_is_called_in_halves_until_the_bad_row_is_alone(is_async):
    """Nine good rows are not lost with one bad one, and each is given as it was read."""
    calls = []

    def several(rows):
        calls.append([row["id"] for row in rows])
        for row in rows:
            row["n"] += 1  # a function may do with its rows what it likes
            row["deep"].append("seen")
        if any(row["id"] == 5 for row in rows):
            raise ValueError(f"cannot do {len(rows)}")
        return [{"x": (row["n"], row["deep"])} for row in rows]

    async def several_async(rows):
        return several(rows)

    rows = [{"id": i, "n": i, "deep": []} for i in range(9)]
    answers = await computed(several_async if is_async else several, rows, batch=8)
    assert [a for a in answers if isinstance(a, Failure)] == [answers[5]]
    assert answers[5].reason.startswith("ValueError: cannot do 1 at test_compute.py:")
    assert [a["x"] for i, a in enumerate(answers) if i != 5] == [
        (i + 1, ["seen"]) for i in range(9) if i != 5
    ]
    halves = [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [6, 7]]
    assert sorted(calls) == sorted([*halves, [8]])


async def test_a_service_that_is_down_is_asked_for_each_row_of_one_group_only():
    """Halving that saved nothing is not tried on the page's other groups."""
    calls = []

    def several(rows):
        calls.append(len(rows))
        raise ValueError("the service is gone")

    answers = await computed(several, rows_of(12), batch=4)
    assert [type(a) for a in answers] == [Failure] * 12
    assert calls == [4, 2, 1, 1, 2, 1, 1, 4, 4]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_group_may_be_all_or_nothing(is_async):
    """With bisect=False a call that raises is not made again."""
    calls = []

    def several(rows):
        calls.append(len(rows))
        raise ValueError("the service is gone")

    async def several_async(rows):
        return several(rows)

    made = several_async if is_async else several
    answers = await computed(made, rows_of(5), batch=3, bisect=False)
    assert [type(a) for a in answers] == [Failure] * 5
    assert calls == [3, 2]


async def test_rows_that_cannot_be_kept_for_a_second_call_fail_together():
    """In a test of the author's, a row may hold anything."""

    def several(rows):
        raise ValueError("no")

    answers = await computed(several, [{"id": i, "f": lambda: 1} for i in (1, 2)], batch=2)
    assert [type(a) for a in answers] == [Failure, Failure]


@pytest.mark.parametrize("is_async", [False, True])
async def test_too_few_or_too_many_answers_fail_the_group(is_async):
    """Nothing can be matched to its row, so nothing of the group is written; others are."""

    def several(rows):
        return [{"x": 1}] * (2 if rows[0]["n"] == 3 else len(rows))

    async def several_async(rows):
        return several(rows)

    answers = await computed(several_async if is_async else several, rows_of(7), batch=3)
    assert [type(a) for a in answers] == [dict] * 3 + [Failure] * 3 + [dict]
    assert "returned 2 answers for 3 rows" in answers[3].reason
    assert "one answer for each row" in answers[3].reason


async def test_a_list_function_must_return_a_list():
    """A dict or a generator is named as what it is."""
    (answer,) = await computed(lambda rows: {"x": 1}, rows_of(1), batch=5, name="one_dict")
    assert "returned a dict for 1 rows" in answer.reason


async def test_async_calls_are_bounded_and_in_order():
    """At most `concurrency` in flight; answers stand where their rows do."""
    flying, most = 0, 0

    async def call(row):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        for _ in range(row["n"] % 3):
            await asyncio.sleep(0)
        flying -= 1
        return {"x": row["n"]}

    answers = await computed(call, rows_of(20), concurrency=4)
    assert answers == [{"x": i} for i in range(20)]
    assert most == 4


@pytest.mark.parametrize("kind", ["row", "ctx", "async", "list"])
async def test_an_exception_fails_its_row_and_says_where(kind):
    """Type, message and place; the rest of the page goes on, also past StopIteration."""

    def work(row):
        if row["n"] == 1:
            raise StopIteration
        if row["n"] == 2:
            raise ValueError("line one\n  line two")
        return {"x": row["n"]}

    async def work_async(row):
        if row["n"] == 1:
            raise KeyError("style")
        return work(row)

    functions = {
        "row": work,
        "ctx": lambda row, ctx: work(row),
        "async": work_async,
        "list": lambda rows: [work(row) for row in rows],
    }
    words = {"batch": 1} if kind == "list" else {}
    answers = await computed(functions[kind], rows_of(4), name=f"raises_{kind}", **words)
    assert [type(a) for a in answers] == [dict, Failure, Failure, dict]
    assert answers[2].reason.startswith("ValueError: line one line two at test_compute.py:")
    assert answers[2].cause.startswith("ValueError at test_compute.py:")


async def test_what_is_not_an_exception_passes_through():
    """An interrupt, an exit and a cancellation are not a row's failure."""

    class Stop(BaseException):
        pass

    def stop(row):
        raise Stop

    async def stop_async(row):
        raise Stop

    with pytest.raises(Stop):
        await computed(stop, rows_of(2))
    with pytest.raises(Stop):
        await computed(stop_async, rows_of(2))


async def test_a_cancellation_inside_a_call_is_that_rows_failure():
    """A library that cancels its own work does not make rows vanish."""

    async def cancelled(row):
        if row["n"] == 1:
            task = asyncio.create_task(asyncio.Event().wait())
            task.cancel()
            await task
        return {"x": 1}

    answers = await computed(cancelled, rows_of(3), concurrency=1)
    assert [type(a) for a in answers] == [dict, Failure, dict]
    assert answers[1].reason.startswith("CancelledError at test_compute.py:")


async def test_cancelling_cancels_the_calls_in_flight():
    """No call of an abandoned chunk goes on."""
    started, ended = asyncio.Event(), []

    async def wait(row):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(row["id"])

    task = asyncio.create_task(computed(wait, rows_of(3)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1, 2]


async def test_the_context_is_the_rows_own():
    """Parameters, the run's start, the key, and dice that fall alike for the same key."""
    seen = []

    def look(row, ctx):
        seen.append((ctx.params, ctx.now, ctx.key, ctx.random.random()))
        return {"x": 1}

    await computed(look, rows_of(3), params="p")
    await computed(look, list(reversed(rows_of(3))), params="p")
    assert [s[:3] for s in seen[:3]] == [("p", NOW, (i,)) for i in range(3)]
    assert seen[:3] == list(reversed(seen[3:]))
    assert len({s[3] for s in seen}) == 3


async def test_a_group_has_the_context_of_its_first_row():
    """The dice of a list function are seeded by the first key of the group."""
    seen = []

    def look(rows, ctx):
        seen.append(ctx.key)
        return [{"x": 1}] * len(rows)

    await computed(look, rows_of(5), batch=2)
    assert seen == [(0,), (2,), (4,)]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("llm", ("ctx.llm needs a provider", "asks ctx.llm must be asynchronous")),
        ("embed", ("ctx.embed needs a provider", "asks ctx.embed must be asynchronous")),
        ("http", ("ctx.http needs a provider", "asks ctx.http must be asynchronous")),
    ],
)
async def test_a_provider_that_does_not_exist_is_the_authors_error(name, told):
    """ctx.llm ends the run with a clear sentence, not every row with a puzzle."""

    async def ask(row, ctx):
        return {"x": getattr(ctx, name)}

    with pytest.raises(DefinitionError, match=told[0]):
        await computed(ask, rows_of(2))
    with pytest.raises(DefinitionError, match=told[1]):
        await computed(lambda row, ctx: {"x": getattr(ctx, name)}, rows_of(2), name=f"s{name}")


async def test_checks_judge_each_answer():
    """False and a text refuse, True and None pass, an exception fails the row."""
    check = {0: True, 1: None, 2: False, 3: "too long"}

    def judge(row, answer):
        assert answer == {"x": 1}
        return check[row["n"]]

    answers = await computed(lambda row: {"x": 1}, rows_of(5), checks=[judge], name="judged")
    assert answers[:4] == [
        {"x": 1},
        {"x": 1},
        Refuse("refused by the check judge"),
        Refuse("too long"),
    ]
    assert answers[4].reason.startswith("KeyError: 4 at test_compute.py:")


async def test_checks_see_the_row_as_it_was_read():
    """A function that changes the row it was given does not change what is judged."""

    def spoil(row):
        row["n"] = "spoilt"
        return {"x": 1}

    answers = await computed(
        spoil, rows_of(2), checks=[lambda row, answer: row["n"] != "spoilt" or "spoilt"]
    )
    assert answers == [{"x": 1}] * 2


async def test_an_answer_with_the_wrong_fields_is_not_judged():
    """Settling says what is wrong with it, in better words than a check's KeyError."""
    (answer,) = await computed(
        lambda row: {"y": 1}, rows_of(1), checks=[lambda row, a: a["x"] > 0], name="wrong_fields"
    )
    assert answer == {"y": 1}


async def test_sensitive_values_stay_out_of_reasons():
    """P12: exceptions, reasons and checks of the author do not carry a sensitive field."""

    def leak(row):
        match row["id"]:
            case 0:
                raise ValueError(f"bad address {row['email'].upper()!r}")
            case 1:
                return Skip(f"known: {row['email']}")
            case 2:
                return Refuse("no address")
        return {"x": row["email"]}

    rows = [{"id": i, "email": f"ada{i}@example.org"} for i in range(4)]
    answers = await computed(
        leak,
        rows,
        sensitive=("email", "x"),
        checks=[lambda row, answer: f"odd: {answer['x'][:6]}"],
    )
    made = backfill(T, fills="x", name="leak_settled")(leak)
    done = settle(page_of(rows), answers, made.spec)
    said = " ".join(issue.reason for issue in done.issues)
    assert "example" not in said.lower()
    assert "ada" not in said.lower()
    assert "no address" in said
    assert said.count("withheld") == 3


@pytest.mark.parametrize("bisect", [False, True])
async def test_no_row_of_a_group_tells_another_rows_sensitive_value(bisect):
    """P12: what a list function raises is the reason of each of its rows, whoever is quoted."""

    async def leak(rows, ctx):
        if len(rows) > 1 and bisect:
            return [Unanswered(f"no mail for {rows[1]['email']}") for _ in rows]
        raise ValueError(f"bad address {rows[1]['email']}")

    rows = [{"id": 0, "email": "wu@kiosk.net"}, {"id": 1, "email": "jan@elsewhere.com"}]
    words = {"sensitive": ("email",), "batch": 2, "bisect": bisect, "name": f"group_{bisect}"}
    for answer in await computed(leak, rows, **words):
        assert isinstance(answer, Failure)
        assert "withheld" in answer.reason
        assert "jan" not in answer.reason


@pytest.mark.parametrize("kind", [ProviderRefused, OutOfQuota])
async def test_a_vendors_words_carry_no_sensitive_value(kind):
    """P12: its error may repeat the prompt, of whichever row asked; the run would stop with it."""
    vendor = kind("the provider refuses", found="400: Hi ada1@EXAMPLE.org", fix="ask otherwise")

    async def ask(row, ctx):
        raise vendor

    rows = [{"id": i, "email": f"ada{i}@example.org"} for i in range(2)]
    with pytest.raises(kind) as caught:
        await computed(ask, rows, sensitive=("email",))
    told = "".join(traceback.format_exception(caught.value))
    assert "ada1" not in told
    assert "withheld" in caught.value.found
    assert (caught.value.what, caught.value.fix) == (vendor.what, vendor.fix)
    with pytest.raises(kind) as caught:
        await computed(ask, rows, name="open")
    assert "ada1" in caught.value.found


async def test_long_messages_are_cut():
    """A report can hold a thousand of them."""

    def long(row):
        raise ValueError("x" * 10_000_000 + "\x00")

    (answer,) = await computed(long, rows_of(1))
    assert len(answer.reason) < 300


async def test_rows_are_counted_once_whatever_is_raised():
    """However failures fall, there is one answer a row."""
    for pattern in itertools.product([True, False], repeat=4):

        def work(row, pattern=pattern):
            if pattern[row["n"]]:
                raise ValueError
            return {"x": row["n"]}

        answers = await computed(work, rows_of(4))
        assert [isinstance(a, Failure) for a in answers] == list(pattern)

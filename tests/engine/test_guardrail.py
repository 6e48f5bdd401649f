"""P7: plans and dry runs call the author's function in a child that may only compute."""

import asyncio
import os

from datetime import UTC, datetime, timedelta

import pytest

from proctor.core.answer import Failure
from proctor.engine.guardrail import environment, guarded
from proctor.errors import AuthorError, DefinitionError
from projects import page_of, project

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HEAD = """
from proctor import Skip, backfill, table
import asyncio, ctypes, os, pathlib, socket, sqlite3, subprocess, sys, tempfile, time

"""
FILL = '@backfill(table("t", key="id"), fills="x")\n'


async def rehearse(tmp_path, body, *, rows=1, decorator=FILL, params=None, **more):
    made = project(tmp_path, backfills=f"{HEAD}{decorator}{body}")
    page = page_of([{"id": i, "n": i} for i in range(rows)])
    (backfill,) = made.values()
    tried = await guarded(backfill, page, params=params, now=NOW, root=tmp_path, **more)
    return tried.answers, tried.per_row


async def test_answers_come_back_in_order_with_their_time(tmp_path):
    """The child's answers are the function's, row by row, and the usual time of one is measured."""
    body = """def f(row):
    if row["n"] == 1:
        return Skip("odd")
    return {"x": row["n"] * 2}
"""
    answers, per_row = await rehearse(tmp_path, body, rows=40)
    assert answers[0] == {"x": 0}
    assert answers[1].why == "odd"
    assert answers[2:] == [{"x": i * 2} for i in range(2, 40)]
    assert timedelta(0) < per_row < timedelta(seconds=1)


async def test_async_list_functions_and_context_work_in_the_child(tmp_path):
    """Every kind of function that runs for real can be rehearsed."""
    body = """async def f(rows, ctx):
    await asyncio.sleep(0)
    return [{"x": (r["n"], ctx.key, ctx.now.year, ctx.params)} for r in rows]
"""
    decorator = FILL.replace(")\n", ", batch=2, concurrency=2)\n")
    answers, _ = await rehearse(tmp_path, body, rows=5, decorator=decorator, params={"a": 1})
    assert [a["x"][:2] for a in answers] == [
        (0, (0,)), (1, (0,)), (2, (2,)), (3, (2,)), (4, (4,)),
    ]  # fmt: skip
    assert answers[0]["x"][2:] == (2026, {"a": 1})


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("socket.create_connection(('127.0.0.1', 9))", "network"),
        ("socket.socket().connect(('127.0.0.1', 9))", "open a network connection"),
        ("socket.socket(socket.AF_UNIX).connect('/tmp/x')", "open a network connection"),
        ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9))", "network"),
        ("subprocess.run(['true'])", "start a process"),
        ("os.system('true')", "start a process"),
        ("os.fork()", "start a process"),
        ("os.posix_spawn('/bin/true', ['true'], dict())", "start a process"),
        ("os.execv('/bin/true', ['true'])", "start a process"),
        ("__import__('multiprocessing').get_context('spawn').Process(target=print).start()", "sta"),
        ("os.kill(os.getppid(), 0)", "signal a process"),
        ("open({here!r} + '/out', 'w')", "write a file"),
        ("open({here!r} + '/backfills.py', 'r+')", "write a file"),
        ("os.open({here!r} + '/out', os.O_CREAT | os.O_WRONLY)", "write a file"),
        ("pathlib.Path({here!r}, 'out').write_text('x')", "write a file"),
        ("pathlib.Path({here!r}, 'd').mkdir()", "make a directory"),
        ("os.remove({here!r} + '/backfills.py')", "remove a file"),
        ("os.rename({here!r} + '/backfills.py', {here!r} + '/b')", "rename a file"),
        ("tempfile.TemporaryFile()", "write a file"),
        ("sqlite3.connect({here!r} + '/x.db')", "open an SQLite file"),
    ],
)
async def test_acts_on_the_world_are_refused(tmp_path, act, words):
    """A refused act ends the rehearsal with an error that names it and the author's line."""
    body = f"def f(row):\n    {act.format(here=str(tmp_path))}\n    return {{'x': 1}}\n"
    with pytest.raises(AuthorError, match=words) as caught:
        await rehearse(tmp_path, body)
    assert "backfills.py:7" in caught.value.found
    assert caught.value.exit_code == 2
    assert [p.name for p in tmp_path.iterdir()] == ["backfills.py"]


async def test_reading_and_computing_are_allowed(tmp_path):
    """Files may be read, modules imported, SQLite used in memory, threads started."""
    body = """def f(row):
    import colorsys, lazy
    assert sqlite3.connect(":memory:").execute("SELECT 2").fetchone() == (2,)
    text = pathlib.Path(__file__).read_text()
    async def work():
        return await asyncio.to_thread(len, text)
    open(os.devnull, "w").close()
    print("to stderr, not into the answers")
    assert sys.stdin.read() == ""
    return {"x": lazy.ONE if asyncio.run(work()) else 0}
"""
    (tmp_path / "lazy.py").write_text("ONE = 1\n")
    answers, _ = await rehearse(tmp_path, body)
    assert answers == [{"x": 1}]
    assert not (tmp_path / "__pycache__").exists()


async def test_a_library_that_only_tries_goes_on(tmp_path):
    """A refusal is a PermissionError: a cache that cannot be written is gone without."""
    body = f"""def f(row):
    try:
        open({str(tmp_path / "cache")!r}, "w")
    except OSError:
        return {{"x": "no cache"}}
"""
    answers, _ = await rehearse(tmp_path, body)
    assert answers == [{"x": "no cache"}]


async def test_the_child_has_no_secrets(tmp_path, monkeypatch):
    """DSNs and keys of the environment do not reach the author's function."""
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@h/d")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("PGPASSWORD", "secret")
    body = "def f(row):\n    return {'x': sorted(os.environ)}\n"
    answers, _ = await rehearse(tmp_path, body)
    assert {"DATABASE_URL", "OPENAI_API_KEY", "PGPASSWORD"} & set(answers[0]["x"]) == set()
    assert "PATH" in answers[0]["x"]
    assert set(environment(os.environ)) <= set(os.environ)


async def test_a_module_that_needs_a_secret_at_import_says_so(tmp_path, monkeypatch):
    """The error teaches to read the environment later."""
    monkeypatch.setenv("MY_TOKEN", "t")
    body = "def f(row):\n    return {'x': 1}\n\nTOKEN = os.environ['MY_TOKEN']\n"
    with pytest.raises(DefinitionError, match="cannot be imported") as caught:
        await rehearse(tmp_path, body)
    assert "KeyError: 'MY_TOKEN' at backfills.py:9" in caught.value.found
    assert "inside the function" in caught.value.fix


async def test_an_act_at_import_is_refused_too(tmp_path, monkeypatch):
    """The guard is armed before the author's module is imported."""
    monkeypatch.setenv("PARENT", "yes")
    body = (
        "def f(row):\n    return {'x': 1}\n\n"
        "if 'PARENT' not in os.environ:\n    subprocess.run(['true'])\n"
    )
    with pytest.raises(AuthorError, match="start a process"):
        await rehearse(tmp_path, body)


async def test_a_refusal_in_other_words_is_still_named(tmp_path, monkeypatch):
    """Also when a library turns it into an exception of its own, at import or in a call."""
    monkeypatch.setenv("PARENT", "yes")
    body = """def f(row):
    return {'x': tempfile.mkdtemp()}

if 'PARENT' not in os.environ:
    try:
        os.mkdir(HERE + '/cache')
    except OSError:
        raise RuntimeError("no cache") from None
"""
    with pytest.raises(AuthorError, match="make a directory"):
        await rehearse(tmp_path, body.replace("HERE", repr(str(tmp_path))))
    with pytest.raises(AuthorError, match="refuse"):
        await rehearse(tmp_path, "def f(row):\n    return {'x': tempfile.mkdtemp()}\n")


async def test_parameters_of_the_authors_own_model_travel(tmp_path):
    """The model lives in the author's module, which the child has imported by then."""
    body = """def f(row, ctx):
    return {"x": ctx.params.tail}
"""
    head = "import pydantic\nclass Params(pydantic.BaseModel):\n    tail: str\n"
    decorator = head + FILL.replace(")\n", ", params=Params)\n")
    made = project(tmp_path, backfills=f"{HEAD}{decorator}{body}")["f"]
    _, params = made.bind({"tail": "!"})
    tried = await guarded(made, page_of([{"id": 1}]), params=params, now=NOW, root=tmp_path)
    assert tried.answers == [{"x": "!"}]
    local = type("Local", (), {})()
    with pytest.raises(DefinitionError, match="cannot be handed"):
        await guarded(made, page_of([{"id": 1}]), params=local, now=NOW, root=tmp_path)


async def test_a_function_that_hangs_is_given_up(tmp_path):
    """A child that does not come back is killed and named."""
    body = "def f(row):\n    time.sleep(600)\n"
    with pytest.raises(AuthorError, match="did not come back"):
        await rehearse(tmp_path, body, patience=timedelta(seconds=1.5))


async def test_a_crash_of_the_child_is_named(tmp_path):
    """A segmentation fault or an exit is an error of the author's, not a traceback of ours."""
    body = "def f(row):\n    ctypes.string_at(0)\n"
    with pytest.raises(AuthorError, match="died") as caught:
        await rehearse(tmp_path, body)
    assert "SIGSEGV" in caught.value.found
    with pytest.raises(AuthorError, match="ended its process") as caught:
        await rehearse(tmp_path, "def f(row):\n    sys.exit(3)\n")
    assert "backfills.py:7" in caught.value.found


async def test_failures_and_odd_answers_travel(tmp_path):
    """An exception, and an answer that cannot even be copied, end as failures with reasons."""
    body = """def f(row):
    if row["n"] == 0:
        raise ValueError("no number")
    if row["n"] == 1:
        return {"x": lambda: 1}
    return (i for i in ())
"""
    answers, _ = await rehearse(tmp_path, body, rows=3)
    assert answers[0] == Failure(
        "ValueError: no number at backfills.py:8", cause="ValueError at backfills.py:8"
    )
    assert "type function cannot be stored" in answers[1].reason
    assert "returned a generator" in answers[2].reason


async def test_cancelling_leaves_no_child_behind(tmp_path):
    """Who stops waiting takes the child along."""
    body = f"""def f(row):
    print(os.getpid(), file=sys.stderr, flush=True)
    os.fdopen(os.open({str(tmp_path / "fifo")!r}, os.O_RDONLY)).read()
"""
    os.mkfifo(tmp_path / "fifo")
    task = asyncio.create_task(rehearse(tmp_path, body))
    # Opening for writing returns when the child has opened the other end.
    end = await asyncio.to_thread(os.open, tmp_path / "fifo", os.O_WRONLY)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(BrokenPipeError):
        os.write(end, b"x")
    os.close(end)


async def test_no_rows_start_no_child(tmp_path):
    """Nothing to compute is nothing to wait for."""
    assert await rehearse(tmp_path, "def f(row):\n    return {}\n", rows=0) == ([], timedelta(0))

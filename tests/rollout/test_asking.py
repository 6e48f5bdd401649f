"""Each metric is asked once before a rollout begins, and one that is wrong for good refused."""

import threading

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from proctor.errors import Unmeasured
from proctor.model import RolloutState
from rolling import kinds

WATCHED = """
rollout("small", {before}stages.soak("s", duration=minutes(20), metrics=[
    filled(success_condition="result.value >= 0"), {metric}]))
"""
ABOVE = 'success_condition="result.value > 0", interval=minutes(5)'
WRONG = {
    f'metrics.sql("m", "SELECT count(*) AS value FORM items", {ABOVE})': "syntax error",
    f'metrics.sql("m", "SELECT count(*) AS value FROM itemz", {ABOVE})': "itemz",
    f'metrics.sql("m", "SELECT count(colour) AS value FROM items", {ABOVE})': "colour",
    f'metrics.sql("m", "SELECT count(*) AS many FROM items", {ABOVE})': (
        "no figure is called value; found: it gives many"
    ),
    'metrics.sql("m", "SELECT 1 AS value", success_condition="result.value > 0", min_samples=9)': (
        "no figure is called total or rows"
    ),
    'metrics.run("m", "lower", failure_condition="result.errors > 0")': (
        "no figure is called errors; found: it gives .*failed"
    ),
    f'metrics.rows("m", "upper", {ABOVE.replace("value", "rows")})': "no backfill named upper",
    f'metrics.python("m", lambda: {{"many": 1}}, {ABOVE})': "no figure 'value'",
    'metrics.python("m", lambda: 1, baseline=metrics.fixed(rate=0.5, allowed=0.8))': (
        "no figure is called events or total"
    ),
}
WAITING = {
    'metrics.python("m", lambda: 1 / 0, success_condition="result.value == 1")': "raised an error",
    f'metrics.http("m", "http://127.0.0.1:9/", pick={{"value": "$"}}, {ABOVE})': "be reached",
    f'metrics.sql("m", "SELECT sum(id) AS value FROM items WHERE id < 0", {ABOVE})': "coalesce",
    'metrics.python("m", lambda: 0, failure_condition="1 / result.value > 2")': "division",
    "metrics.sql('m', 'SELECT 3 AS events, 2 AS total', baseline=metrics.fixed(rate=.5, "
    "allowed=.8), dry_run=True)": "more than",
    f'metrics.sql("m", "SELECT count(*) AS value FROM itemz", {ABOVE}, dry_run=True)': "itemz",
}


@pytest.fixture
def answering():
    """A server that answers everything with one status, and its address."""

    class Answer(BaseHTTPRequestHandler):
        status = 404
        asked: ClassVar[list[str]] = []

        def do_GET(self):
            self.asked.append(self.path)
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(b"404 page not found")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Answer, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Left(Exception):
    """It has begun: nothing more is asked here."""


async def begun(project, **words):
    """What it warned of when it began; it is left as soon as it has."""
    told = []

    def leave(rig):
        told.extend(e.data["why"] for e in rig.journal.entries if e.kind == "metric.doubted")
        raise Left

    with pytest.raises(Left):
        await project.drive(on=leave, **words)
    return told


@pytest.mark.parametrize(("metric", "words"), WRONG.items())
async def test_a_metric_that_is_wrong_for_good_is_refused_before_anything_begins(
    project, metric, words
):
    """With stage, metric, what was found and what to do; nothing is on record."""
    project.rolls(WATCHED.format(before='stages.apply("lower"), ', metric=metric))
    with pytest.raises(Unmeasured, match=words) as refused:
        await project.drive()
    assert "metric m of s" in refused.value.found
    assert "filled" not in refused.value.found
    assert "--show` asks each metric again" in refused.value.fix
    assert refused.value.exit_code == 2
    assert project.sql("SELECT count(low) FROM items") == [(0,)]


@pytest.mark.parametrize(("metric", "words"), WAITING.items())
async def test_what_may_pass_or_decides_nothing_is_a_warning_as_it_begins(project, metric, words):
    """A server that is away, no data yet, a dry run: they are told and stop nothing."""
    project.rolls(WATCHED.format(before="", metric=metric))
    (warning,) = await begun(project)
    assert warning.startswith("metric m of s cannot be measured now: ")
    assert words in warning


async def test_figures_of_a_run_are_awaited_where_the_rollout_makes_it(project):
    """A good rollout begins without a word, and its own tables need not be there yet."""
    project.rolls("""
limits = metrics.run("run", "lower", failure_condition="result.limited_new > 10")
books = metrics.sql("books", "SELECT count(*) AS value FROM proctor_chunks",
    success_condition="result.value > 0")
rollout("small", stages.apply("lower"), stages.soak("s", duration=minutes(20),
    metrics=[limits, books, metrics.rows("rows", "lower", success_condition="result.rows >= 0")]))
rollout("alone", stages.soak("s", duration=minutes(20), metrics=[limits]))
""")
    warnings = await begun(project)
    assert [one for one in warnings if "books" not in one] == []
    assert len(warnings) == 1
    assert "has no run in local yet" in "".join(await begun(project, name="alone"))


async def test_what_a_step_makes_need_not_be_there_before_it(project):
    """A table that is missing is a warning behind an author's function; a typing error is not."""
    late = f'metrics.sql("m", "SELECT count(*) AS value FROM later", {ABOVE})'
    step = 'stages.step("make it", lambda: None), '
    project.rolls(WATCHED.format(before=step, metric=late))
    assert "later" in "".join(await begun(project))
    project.rolls(WATCHED.format(before=step, metric=late.replace("FROM", "FORM")))
    with pytest.raises(Unmeasured, match="metric m of s"):
        await project.drive(name="small", again=True, accept=True)


@pytest.mark.parametrize(
    ("status", "wrong"), [(404, True), (400, True), (503, False), (429, False)]
)
@pytest.mark.parametrize("kind", ["prometheus", "http"])
async def test_a_server_that_refuses_the_question_is_told_from_one_that_is_busy(
    project, answering, kind, status, wrong
):
    """A 404 is a wrong address, a 503 passes."""
    answer, url = answering
    answer.status = status
    asks = {"prometheus": f'prometheus("m", "{url}", "up"', "http": f'http("m", "{url}"'}[kind]
    picks = ', pick={"value": "$"}' if kind == "http" else ""
    project.rolls(WATCHED.format(before="", metric=f"metrics.{asks}{picks}, {ABOVE})"))
    if wrong:
        with pytest.raises(Unmeasured, match=f"metric m of s: .*status {status}"):
            await project.drive()
    else:
        assert f"status {status}" in "".join(await begun(project))


async def test_metrics_are_asked_at_once(project):
    """It takes as long as the slowest takes: each of these waits for the other."""
    project.rolls("""
import threading

gate = threading.Barrier(2)

def meet():
    gate.wait(20)
    return 1

one = metrics.python("one", meet, success_condition="result.value == 1")
two = metrics.python("two", lambda: meet(), success_condition="result.value == 1")
rollout("small", stages.halt("go"), stages.soak("s", duration=minutes(20), metrics=[one, two]))
""")
    assert await begun(project) == []


async def test_a_metric_that_stages_share_is_asked_once(project, answering):
    """The server is somebody's; each stage is told what it said."""
    answer, url = answering
    answer.status = 503
    project.rolls(f"""
up = metrics.prometheus("up", "{url}", "up", success_condition="result.value == 1")
rollout("small", stages.gate("a", metrics=[up]), stages.gate("b", metrics=[up]))
""")
    assert len(await begun(project)) == 2
    assert len(answer.asked) == 1


async def test_trying_again_asks_first_whether_the_metric_is_mended(project):
    """The table was dropped during the soak: held; as long as it is away nothing is begun anew."""
    project.rolls("""
rollout("small", stages.soak("s", duration=minutes(60), metrics=[
    filled(success_condition="result.value >= 0", consecutive_error_limit=0)]))
""")

    def drop(rig):
        if "stage.entered" in kinds(rig.journal.entries) and rig.journal.standing.held is None:
            project.sql("DROP TABLE IF EXISTS items")

    held = await project.drive(on=drop)
    assert held.left.state is RolloutState.HELD
    with pytest.raises(Unmeasured, match="items"):
        await project.drive(retry="it is mended")
    assert "stage.retried" not in kinds(await project.entries(held.rollout.id))
    project.sql("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, low TEXT)")
    assert (await project.drive(retry="it is mended")).left.state is RolloutState.ACTIVE


async def test_a_changed_file_is_accepted_only_with_metrics_that_can_be_asked(project):
    """And what was rejected is closed whatever its metrics say."""
    halt = 'rollout("small", stages.halt("go"), stages.gate("g", metrics=[{}]))'
    project.rolls(halt.format("filled()"))
    held = await project.drive()
    wrong = f'metrics.sql("m", "SELECT count(*) AS value FROM itemz", {ABOVE})'
    project.rolls(halt.format(wrong))
    with pytest.raises(Unmeasured, match="itemz"):
        await project.drive(accept=True)
    assert "rollout.changed" not in kinds(await project.entries(held.rollout.id))
    await project.reject(held.rollout.id)
    assert (await project.drive(accept=True)).left.state is RolloutState.ROLLED_BACK

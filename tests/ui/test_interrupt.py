"""Ctrl-C, SIGTERM, and words from another terminal, on a run in a process of its own."""

import json
import signal

import pytest

SLOW = """    from pathlib import Path
    from time import monotonic, sleep
    gate = Path(__file__).with_name("gate")
    until = monotonic() + 30
    while row["id"] > 20 and not gate.exists() and monotonic() < until:
        sleep(0.005)
    email = row["email"]"""


@pytest.fixture
def slow(shop):
    """The backfill stands still after 20 rows, in chunks of 10, until the gate is opened."""
    text = (shop / "backfills.py").read_text()
    (shop / "backfills.py").write_text(text.replace('    email = row["email"]', SLOW))
    with (shop / "proctor.toml").open("a") as file:
        file.write("\n[run]\nchunk_rows = 10\nworkers = 1\n")
    return shop / "gate"


def begun(process):
    """Wait until the run says that its first rows are settled."""
    for line in process.stderr:
        if "written" in line and "written 0" not in line:
            return line
    raise AssertionError(f"it ended before it began: {process.stdout.read()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_finishes_the_chunk_in_hand(slow, spawn, proctor, table, number):
    """Exit 130, paused with its reason; the same command resumes it and says so."""
    process = spawn("run", "normalize_email", "--json")
    begun(process)
    process.send_signal(number)
    for line in process.stderr:
        if "stopping" in line:
            break
    slow.touch()
    out, _ = process.communicate(timeout=60)
    stopped = json.loads(out)
    assert process.returncode == stopped["exit_code"] == 130
    assert stopped["state"] == "paused"
    assert number.name in stopped["reason"]
    assert stopped["read"] == sum(stopped["buckets"].values()) < 1000
    ended = proctor("run", "normalize_email", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["resumed"] is True
    assert ended.json["id"] == stopped["id"]
    assert ended.json["read"] == 1000
    assert f"resuming run {stopped['id']}" in ended.err


def test_the_second_signal_abandons_the_chunk(slow, spawn, proctor):
    """It does not wait for the author's function, and the run can be resumed."""
    process = spawn("run", "normalize_email", "--json")
    begun(process)
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "stopping" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    slow.touch()
    ended = proctor("run", "normalize_email", "--json")
    assert ended.json["read"] == sum(ended.json["buckets"].values()) == 1000


def test_another_terminal_steers_the_run(slow, spawn, proctor):
    """status, tune and pause reach it; watch ends when it does; resume goes on."""
    process = spawn("run", "normalize_email", "--json")
    begun(process)
    (active,) = proctor("status", "--json").json["runs"]
    assert active["state"] == "running"
    assert active["holder"]
    assert proctor("run", "normalize_email").code == 3  # somebody holds it
    tuned = proctor("tune", active["id"], "chunk_rows=25", "--json").json
    assert tuned["tuning"]["chunk_rows"] == 25
    watcher = spawn("watch", "--json")
    assert "running" in watcher.stderr.readline()
    leaver = spawn("watch")
    assert "running" in leaver.stderr.readline()
    leaver.send_signal(signal.SIGINT)
    assert "the run goes on" in leaver.communicate(timeout=20)[1]
    assert leaver.returncode == 130
    assert proctor("pause", active["id"], "--json").json["state"] == "pausing"
    slow.touch()
    out, _ = process.communicate(timeout=60)
    assert json.loads(out)["state"] == "paused"
    seen, _ = watcher.communicate(timeout=60)
    assert json.loads(seen)["id"] == active["id"]
    ended = proctor("resume", active["id"], "--json")
    assert ended.code == 0, ended.err
    assert ended.json["read"] == 1000


def test_a_cancelled_run_is_over(slow, spawn, proctor):
    """Exit 1 for the one who ran it; it cannot be resumed, but rolled back."""
    process = spawn("run", "normalize_email", "--json")
    begun(process)
    run = proctor("status", "--json").json["runs"][0]["id"]
    assert proctor("cancel", run).code == 0
    slow.touch()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads(out)["state"] == "cancelled"
    assert proctor("resume", run).code == 3
    assert proctor("rollback", run, "--yes").code == 0


@pytest.mark.parametrize(
    ("word", "asked"), [("pause", "run.pausing"), ("cancel", "run.cancelling")]
)
def test_whoever_stops_anothers_run_is_on_record(slow, spawn, proctor, word, asked):
    """P11: by the name of who said so, at the moment it was said; the run's own end by its own."""
    process = spawn("run", "normalize_email", "--json", env={"PROCTOR_USER": "ada"})
    begun(process)
    run = proctor("status", "--json").json["runs"][0]["id"]
    told = proctor(word, run, "--json").json
    assert told["state"] == asked.partition(".")[2]
    slow.touch()
    process.communicate(timeout=60)
    acts = proctor("report", run, "--json").json["actions"]
    assert [(act["who"], act["what"]) for act in acts] == [
        ("ada", "run.opened"),
        ("mira", asked),
        ("ada", "run.paused" if word == "pause" else "run.cancelled"),
    ]
    assert f"after={told['state']}, before=running" in acts[1]["change"]


def test_a_killed_run_is_resumed_to_the_same_end(slow, spawn, proctor, table):
    """SIGKILL: what is committed counts, the rest is done, nothing twice."""
    process = spawn("run", "normalize_email")
    begun(process)
    process.kill()
    process.communicate(timeout=20)
    slow.touch()
    ended = proctor("run", "normalize_email", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["resumed"] is True
    assert ended.json["read"] == sum(ended.json["buckets"].values()) == 1000


def test_a_rollback_can_be_stopped_watched_and_gone_on_with(shop, spawn, proctor, table):
    """Ctrl-C finishes the chunk in hand: exit 130; whoever watched saw it; the rest comes back."""
    before = table()
    config = (shop / "proctor.toml").read_text()
    (shop / "proctor.toml").write_text(f"{config}\n[run]\nchunk_rows = 10\nworkers = 1\n")
    run = proctor("run", "normalize_email", "--json").json["id"]
    with (shop / "proctor.toml").open("a") as file:
        file.write("pause_s = 60\n")
    process = spawn("rollback", run, "--yes", "--json")
    assert process.stderr.readline().startswith("undone ")
    watcher = spawn("watch", run)
    seen = watcher.stderr.readline()
    assert "rolling_back: undone " in seen
    assert "waiting" not in seen
    watcher.send_signal(signal.SIGINT)
    watcher.communicate(timeout=20)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    stopped = json.loads(out)
    assert "stopping" in err
    assert process.returncode == 130
    assert stopped["interrupted_here"] is True
    assert stopped["run"]["state"] == "rolling_back"
    assert "SIGINT received" in stopped["run"]["reason"]
    (shop / "proctor.toml").write_text(config)
    rest = proctor("rollback", run, "--yes", "--json")
    assert rest.code == 0, rest.err
    assert rest.json["run"]["state"] == "rolled_back"
    assert 0 < stopped["undone"]["restored"] < rest.json["undone"]["restored"] == 986
    assert table() == before


def test_a_killed_run_is_seen_as_such_at_once(slow, spawn, proctor):
    """Its lease need not end first: this machine can tell that its process is gone."""
    process = spawn("run", "normalize_email")
    begun(process)
    (alive,) = proctor("status", "--json").json["runs"]
    assert (alive["state"], alive["interrupted"]) == ("running", False)
    process.kill()
    process.wait()
    (dead,) = proctor("status", "--json").json["runs"]
    assert (dead["state"], dead["interrupted"]) == ("running", True)
    assert dead["heartbeat_age_seconds"] < 30
    run = dead["id"]
    shown = " ".join(proctor("status", run).out.split())
    assert f"Run {run} interrupted" in shown
    assert "no process works on it, no heartbeat for " in shown
    assert f"`proctor resume {run}` takes over" in shown
    assert proctor("watch", run).code == 1
    slow.touch()
    ended = proctor("resume", run)
    assert ended.code == 0, ended.err
    assert f"resuming run {run}, which was interrupted" in ended.err


def test_another_run_on_the_field_is_refused_and_looking_is_not(slow, spawn, shop, proctor):
    """One run at a time, whatever rows: it says so. A plan, a dry run and a script need no slot."""
    done = proctor("run", "normalize_email", "--limit", "5", "--json").json["id"]
    with (shop / "backfills.py").open("a") as file:
        file.write(
            '\n\n@backfill(table("customers", key="id"), fills="email_normalized", version="1")\n'
            'def other(row):\n    """Lower."""\n    return {"email_normalized": "x"}\n'
        )
    begun(spawn("run", "normalize_email", "--to", "500"))
    refused = proctor("run", "other", "--from", "600")
    assert refused.code == 3
    assert "one run at a time" in refused.err
    assert "also where the rows are others" in refused.err
    for words in (("plan", "other"), ("dry-run", "other", "--from", "600")):
        assert proctor(*words).code == 0
    assert proctor("rollback", done, "--sql", "undo.sql").code == 0
    slow.touch()

"""proctor.toml: what it may say, and what every mistake in it is answered with."""

import pickle

import pytest

from proctor.config import Throttle, load
from proctor.errors import ConfigError

GOOD = """
backfills = ["backfills", "more.backfills"]

[env.local]
store = "sqlite:///shop.db"

[env.production]
store = "${DATABASE_URL}"
protected = true
progress = "ledger"

[env.production.throttle]
lock_waiters = 2

[[env.production.throttle.signal]]
name = "queue"
limit = 100
http = "https://metrics.example/${METRICS_TOKEN}?job=shop"
json = "data.depth"
headers = { Authorization = "Bearer ${METRICS_KEY}" }

[env.production.window]
blackout = ["mon-fri 09:00-17:00 Europe/Berlin"]

[throttle]
lock_waiters = 5
replication_lag_s = 10
duty = 0.5

[window]
blackout = ["00:00-00:30"]

[run]
workers = 4
log_file = "logs/proctor.jsonl"
"""
VARIABLES = {
    "DATABASE_URL": "postgresql://app:hunter22@db/shop?sslmode=require",
    "METRICS_TOKEN": "path-token",
    "METRICS_KEY": "header-key",
}


NO_LIMITS = {"duty", "signal"}


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "proctor.toml"
        path.write_text(text)
        return path

    return write


def fault(path, environ=None, env=None):
    config = load(path, environ=environ or {}) if env else None
    with pytest.raises(ConfigError) as caught:
        config.env(env) if config else load(path, environ=environ or {})
    return caught.value


def test_a_whole_file_becomes_a_config(write):
    """Every key arrives with its type; the environment's own sections lie over the global."""
    config = load(write(GOOD), environ=VARIABLES)
    production = config.env("production")
    assert config.backfills == ("backfills", "more.backfills")
    assert config.blackout == ("00:00-00:30",)
    assert production.blackout == ("mon-fri 09:00-17:00 Europe/Berlin",)
    assert (production.protected, production.progress) == (True, "ledger")
    assert config.throttle.limits == {"lock_waiters": 5, "replication_lag": 10}
    assert production.throttle.limits == {"lock_waiters": 2, "replication_lag": 10}
    assert (production.throttle.duty, production.run.workers) == (0.5, 4)
    assert production.log_file == config.root / "logs/proctor.jsonl"
    assert production.reports == config.root / ".proctor/reports"
    assert config.env("local").throttle.limits["lock_waiters"] == 5
    assert production.store.reveal() == VARIABLES["DATABASE_URL"]
    (signal,) = production.signals
    assert signal.http.reveal() == "https://metrics.example/path-token?job=shop"
    assert signal.headers["Authorization"].reveal() == "Bearer header-key"
    assert (signal.name, signal.limit, signal.pick) == ("queue", 100.0, "data.depth")


def test_limits_are_told_in_the_words_and_units_of_the_stores(write):
    """A key that matched no signal would be a limit that nobody keeps."""
    keys = "\n".join(f"{key} = 0.5" for key in Throttle.model_fields if key not in NO_LIMITS)
    assert load(write(f"backfills = []\n[throttle]\n{keys}"), environ={}).throttle.limits == {
        "replication_lag": 0.5,
        "active_connections": 0.5,
        "lock_waiters": 0.5,
        "wal_rate": 0.5e-6,
        "commit_latency": 0.5e-3,
        "busy": 0.5,
    }


def test_the_nearest_file_at_or_above_is_found(write, tmp_path, monkeypatch):
    """As people expect of git: any folder of the project will do."""
    path = write(GOOD)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert load().path == path
    assert load(tmp_path).path == path


def test_no_file_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "proctor init" in fault(None).fix
    assert "absent.toml" in fault(tmp_path / "absent.toml").what


def test_relative_sqlite_files_start_at_the_folder_of_the_file(write):
    """Wherever the command is called from, it is the same database."""
    text = GOOD.replace("shop.db", "data/shop.db?mode=ro")
    config = load(write(text), environ={})
    assert config.env("local").store.reveal() == f"sqlite:///{config.root}/data/shop.db?mode=ro"
    assert config.ledger.reveal() == f"sqlite:///{config.root}/.proctor/ledger.db"
    assert config.env("local").ledger == config.ledger


@pytest.mark.parametrize("url", ["sqlite:////tmp/a.db", "sqlite://", "sqlite:///:memory:"])
def test_absolute_and_memory_sqlite_stay_as_they_are(write, url):
    config = load(write(f'backfills = []\n[env.local]\nstore = "{url}"'), environ={})
    assert config.env("local").store.reveal() == url


def test_a_missing_variable_harms_only_its_own_environment(write):
    """A laptop without the production URL can still run the local environment."""
    config = load(write(GOOD), environ={})
    assert list(config.envs) == ["local", "production"]
    assert config.envs["local"].name == "local"
    with pytest.raises(ConfigError) as caught:
        config.envs["production"]
    assert "line 8, key env.production.store" in caught.value.what
    assert "DATABASE_URL" in caught.value.what
    assert caught.value.found == "it is not set"


def test_an_empty_variable_is_not_a_value(write):
    error = fault(write(GOOD), {"DATABASE_URL": ""}, env="production")
    assert error.found == "it is empty"


def test_an_environment_may_keep_a_ledger_of_its_own(write):
    text = GOOD.replace("protected = true", 'protected = true\nledger = "${LEDGER_URL}"')
    variables = VARIABLES | {"LEDGER_URL": "postgresql://l:longpass1@db/ledger"}
    config = load(write(text), environ=variables)
    assert config.env("production").ledger.reveal() == variables["LEDGER_URL"]
    assert config.env("local").ledger.reveal().startswith("sqlite:")


@pytest.mark.parametrize(
    ("written", "variables", "url"),
    [
        ("postgresql://app:${PW}@db/x", {"PW": "p@s/s%"}, "postgresql://app:p%40s%2Fs%25@db/x"),
        ("postgresql://${U}:${PW}@db/x", {"U": "a", "PW": "b"}, "postgresql://a:b@db/x"),
        ("postgresql://${LOGIN}@db/x", {"LOGIN": "a:b"}, "postgresql://a:b@db/x"),
        ("postgresql://a@${HOST}/x", {"HOST": "db:5432"}, "postgresql://a@db:5432/x"),
        ("postgresql://a@db/$${x}", {}, "postgresql://a@db/${x}"),
        ("postgresql://a:$x@db/x", {}, "postgresql://a:$x@db/x"),
    ],
)
def test_variables_are_filled_in_where_they_stand(write, written, variables, url):
    """A password is encoded for the URL it stands in; `$${` is a plain `${`."""
    config = load(write(f'backfills = []\n[env.e]\nstore = "{written}"'), environ=variables)
    assert config.env("e").store.reveal() == url


def test_a_hole_without_a_name_is_refused(write):
    error = fault(write('backfills = []\n[env.e]\nstore = "x://${9}"'), env="e")
    assert "line 3" in error.what
    assert "$${" in error.fix


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("backfills = [\n'a'\n]\nledger = \n", 4, 10),
        ('backfills = []\nledger = "x', 2, 12),
        ("backfills = []\n[env.local]\nstore = 'a'\n[env.local]\nx = 1\n", 4, 1),
        ("backfills = []\n\nbackfills = []\nx = 1", 3, 1),
    ],
)
def test_malformed_toml_names_line_and_column(write, text, line, column):
    assert f"line {line}, column {column}" in fault(write(text)).what


def test_a_file_that_is_not_text_names_the_line(tmp_path):
    path = tmp_path / "proctor.toml"
    path.write_bytes(b"backfills = []\n# caf\xe9\n")
    assert "line 2 is not UTF-8" in fault(path).what


def test_a_folder_in_place_of_a_file_is_one_clear_error(tmp_path):
    (tmp_path / "proctor.toml").mkdir()
    assert fault(tmp_path / "proctor.toml").exit_code == 2


@pytest.mark.parametrize(
    ("text", "line", "words", "fix"),
    [
        ("backfils = []", 1, "unknown key 'backfils' in the top of the file", "'backfills'"),
        ("\n[env.local]\nstroe = 'x'", 3, "'stroe' in [env.local]", "did you mean 'store'?"),
        ("[throttle]\n# duty\nlock_waiter = 3", 3, "[throttle]", "'lock_waiters'"),
        ("[[throttle.signal]]\nname='a'\n\nlimt=3", 4, "[[throttle.signal]]", "'limit'"),
        ("[env.'a.b'.run]\nworker = 1", 2, '[env."a.b".run]', "'workers'"),
        ("env.x.run = { worker = 1 }", 1, "[env.x.run]", "'workers'"),
        ("[zzzzzz]\na = 1", 1, "unknown key 'zzzzzz'", "backfills, rollouts, ledger, env"),
    ],
)
def test_an_unknown_key_names_line_and_nearest_key(write, text, line, words, fix):
    """Typing errors are the commonest of all: the answer says what was meant."""
    error = fault(write(text if text.startswith("backfils") else f"{text}\n"))
    assert f"line {line}:" in error.what
    assert words in error.what
    assert fix in error.fix


@pytest.mark.parametrize(
    ("text", "words", "found", "fix"),
    [
        ("[run]\nworkers = 0", "line 3, key run.workers", "0", "above 0"),
        ("[run]\nworkers = 2.5", "run.workers", "2.5", "whole number"),
        ("[run]\nworkers = '4'", "run.workers", "'4'", "without quotes"),
        ("[run]\nlease_s = 1", "run.lease_s", "1", "at least 5"),
        ("[run]\nlease_s = nan", "run.lease_s", "nan", ""),
        ("[throttle]\nduty = 2", "throttle.duty", "2", "at most 1"),
        ("[throttle]\nduty = true", "throttle.duty", "true", "number"),
        ("[env.e]\nstore = 'x://'\nprotected = 'yes'", "line 4", "'yes'", "true or false"),
        ("[env.e]\nstore = 'x://'\nprogress = 'disk'", "progress", "'disk'", "'store' or 'ledger'"),
        ("[env.e]\nstore = 5", "env.e.store", "a number", "a text in quotes"),
        ("[window]\nblackout = ['9 to 5']", "window.blackout[1]", "'9 to 5'", "09:00-17:00"),
        ("[window]\nblackout = '09:00-17:00'", "window.blackout", "", "square brackets"),
        ("env = 1", "key env", "1", "a table"),
        ("[[throttle.signal]]\nname='a'\nlimit=1", "throttle.signal[1]", "", "exactly one of"),
        ("[[throttle.signal]]\nname='a'\nlimit=1\npython='f'", "signal[1]", "", "module:function"),
    ],
)
def test_a_wrong_value_names_key_and_remedy(write, text, words, found, fix):
    error = fault(write(f"backfills = []\n{text}\n"))
    assert words in error.what
    assert found in error.found
    assert fix in error.fix


def test_a_missing_key_names_its_table(write):
    error = fault(write("backfills = []\n\n[env.local]\nprotected = true"))
    assert "line 3: env.local.store is missing" in error.what
    assert "[env.local]" in error.fix


def test_several_faults_are_counted_and_the_first_is_shown(write):
    error = fault(write("backfills = []\n[run]\nworkers = 0\nlease_s = 1\n"))
    assert "run.workers" in error.what
    assert "1 more fault in" in error.fix


def test_lines_are_right_after_strings_that_look_like_keys(write):
    """Multi-line strings, comments and arrays hold text that is no key."""
    text = (
        'backfills = [\n  "a", # ledger = 1\n  "]",\n]\n'
        "ledger = '''\nworkers = 0\n[run]\n'''\n"
        'env."x y".store = """\nstroe\\"""" # = 1\n'
        "[run]\nworkers = 0\n"
    )
    assert "line 12, key run.workers" in fault(write(text)).what


def test_an_unknown_environment_is_answered_with_the_known(write):
    error = fault(write(GOOD), env="staging")
    assert "local, production" in error.found


def test_a_store_that_is_not_a_url_is_refused_without_showing_it(write):
    error = fault(write("backfills = []\n[env.e]\nstore = 'hunter22'"), env="e")
    assert "is not a URL" in error.what
    assert "hunter22" not in str(error)


def test_a_config_with_secrets_does_not_travel(write):
    """Slices are given names and resolve them where they run."""
    env = load(write(GOOD), environ=VARIABLES).env("production")
    with pytest.raises(TypeError, match="pass its name"):
        pickle.dumps(env)

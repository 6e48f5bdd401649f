"""`[notify]` and `[alerts]`: what they may say, what hides, and what every mistake is told."""

from datetime import timedelta

import pytest

from proctor.config import load
from proctor.errors import ConfigError
from proctor.model import AlertRules, ShareAlert

HEAD = 'backfills = ["b"]\n[env.local]\nstore = "sqlite:///shop.db"\n'
HOOK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
VARIABLES = {"SLACK_URL": HOOK, "PAGER": "pagerduty://AK83jdRt29xkQ@9fkWmz0pLq3s"}


@pytest.fixture
def read(tmp_path):
    def read(text, environ=VARIABLES):
        (tmp_path / "proctor.toml").write_text(HEAD + text)
        return load(tmp_path, environ=environ)

    return read


def test_one_table_is_one_place(read):
    (place,) = read('[notify]\nurls = ["${SLACK_URL}"]\n').notify
    assert place.url.reveal() == HOOK
    assert (place.name, place.kind, place.severity) == ("place 1", "https", "warning")
    assert (place.events, place.repeat_after) == (("*",), timedelta(hours=1))


def test_several_tables_are_several_places_and_every_url_one_of_its_own(read):
    """One hears all, another only what is critical; one that fails does not hold up the next."""
    told = """
[[notify]]
name = "team"
urls = ["${SLACK_URL}", "mailto://ops@mail.example"]
severity = "info"
events = ["run.*", "!run.throttled"]
repeat_after = "15m"
silence = ["22:00-07:00 Europe/Berlin"]
[[notify]]
name = "oncall"
urls = ["${PAGER}"]
severity = "critical"
envs = ["production"]
"""
    first, second, third = read(told).notify
    assert [p.name for p in (first, second, third)] == ["team/1", "team/2", "oncall"]
    assert (first.events, first.repeat_after) == (
        ("run.*", "!run.throttled"),
        timedelta(minutes=15),
    )
    assert second.silence == ("22:00-07:00 Europe/Berlin",)
    assert (third.severity, third.envs) == ("critical", ("production",))


def test_without_a_table_nobody_is_told(read):
    assert read("").notify == ()
    assert read("").alerts == AlertRules()


def test_a_variable_that_is_not_set_harms_only_its_place(read):
    """A laptop need not know production's address, and no run is stopped for it."""
    config = read('[notify]\nurls = ["${SLACK_URL}", "json://localhost"]\n', {})
    wrong, well = config.notify
    assert "SLACK_URL" in str(wrong.fault)
    assert "line 5" in str(wrong.fault)
    assert wrong.url is None
    assert well.fault is None
    assert config.env("local").store


def test_a_variable_that_holds_no_url_is_told_without_what_it_holds(read):
    (place,) = read('[notify]\nurls = ["${SLACK_URL}"]\n', {"SLACK_URL": "hunter22"}).notify
    assert "not a URL" in str(place.fault)
    assert "hunter22" not in str(place.fault)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        (HOOK, HOOK),
        (HOOK, "TIiajkdnlazkcOXrIdevi7FQ"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops", "A1BRTD4JD"),
        ("tgram://123456789:abcdefg_Hijk/12315544/", "abcdefg_Hijk"),
        ("pagerduty://AK83jdRt29xkQ@9fkWmz0pLq3s", "9fkWmz0pLq3s"),
        ("mailto://ops:hunter22@mail.example?to=me@mail.example", "hunter22"),
        ("json://hooks.example/in/0a1b2c3d4e5f", "0a1b2c3d4e5f"),
    ],
)
def test_no_part_of_an_address_is_ever_shown(read, url, secret):
    """P12: whole or in parts, from a variable or from the file."""
    for config in (
        read('[notify]\nurls = ["${SLACK_URL}"]\n', {"SLACK_URL": url}),
        read(f'[notify]\nurls = ["{url}"]\n', {}),
    ):
        assert secret not in config.redact(f"could not reach {secret} today")
        assert secret not in repr(config) + repr(config.notify)


def test_what_is_no_secret_of_an_address_stays_readable(read):
    config = read('[notify]\nurls = ["json://127.0.0.1:8080/deployments"]\n', {})
    assert config.redact("127.0.0.1 took deployments") == "127.0.0.1 took deployments"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[notify]\n", ["notify.urls is missing", "add urls"]),
        ("[notify]\nurls = []\n", ["line 5", "notify.urls", "at least one"]),
        ('[notify]\nurls = ["T1/secret22"]\n', ["line 5", "${NAME}", "Apprise"]),
        ('[notify]\nurls = ["json://x"]\nseverty = "info"\n', ["line 6", "severity"]),
        ('[notify]\nurls = ["json://x"]\nseverity = "high"\n', ["line 6", "'critical'"]),
        ('[notify]\nurls = ["json://x"]\nrepeat_after = "1 hour"\n', ["line 6", '"1h"']),
        ('[notify]\nurls = ["json://x"]\nsilence = ["at night"]\n', ["line 6", "22:00-07:00"]),
        ('[notify]\nurls = ["json://x"]\nevents = ["Run failed"]\n', ["line 6", "run.*"]),
        ('[[notify]]\nurls = ["json://x"]\nrepeat = 1\n', ["[[notify]]", "repeat_after"]),
        ("[alerts]\nfailed = -1\n", ["line 5", "at least 0"]),
        ('[alerts]\nstuck_after = "soon"\n', ["line 5", '"1h"']),
        ("[alerts]\nquota = 0.8\n", ["line 5", "failed, stuck_after, coverage, share"]),
        (
            '[alerts.share.r]\nof = "a"\namong = "b"\nbelow = 60\n',
            ["line 7", "alerts.share.r.below", "at most 1"],
        ),
        ('[alerts.share.r]\nof = "a"\namong = "b"\n', ["alerts.share.r.below is missing"]),
        ('[alerts.share.r]\nof = "a"\namong = "a"\nbelow = 0.6\n', ["two numbers"]),
        ('[alerts.share.run]\nof = "a"\nunder = 0.6\n', ["of, among, below, min_samples"]),
    ],
)
def test_every_mistake_names_line_key_and_what_to_write(read, text, words):
    with pytest.raises(ConfigError) as caught:
        read(text)
    for word in words:
        assert word in str(caught.value)
    assert "secret22" not in str(caught.value)


def test_alerts_are_one_table(read):
    told = """
[alerts]
failed = 5
stuck_after = "1h"
coverage = 0.95
[alerts.share.resolution]
of = "isbns_resolved"
among = "books_generated"
below = 0.6
"""
    assert read(told).alerts == AlertRules(
        failed=5,
        stuck_after=timedelta(hours=1),
        coverage=0.95,
        shares=(
            ShareAlert(
                name="resolution",
                of="isbns_resolved",
                among="books_generated",
                below=0.6,
                min_samples=20,
            ),
        ),
    )

"""P12: no face of the configuration shows a secret, and texts can be cleaned of them."""

import base64
import json
import traceback

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.config import Redactor, Secret, load, mask_url, redact
from proctor.errors import ConfigError

PASSWORD = "s3cr3t/pass@word%é"


def test_a_secret_is_masked_until_it_is_revealed():
    secret = Secret("hunter22")
    assert (str(secret), repr(secret), f"{secret}") == ("***", "Secret('***')", "***")
    assert secret.reveal() == "hunter22"
    assert {secret, Secret("hunter22", "other face")} == {secret}
    assert "hunter22" not in json.dumps(secret, default=str)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:pw@db:5432/shop", "postgresql://app:***@db:5432/shop"),
        ("postgresql://app@db/shop", "postgresql://app@db/shop"),
        ("postgresql://app:a@b/c?d@db/shop", "postgresql://app:***@db/shop"),
        ("postgresql://db/shop?password=pw&sslmode=on", "postgresql://db/shop?password=***&sslmode=on"),
        ("postgresql://db/s?user=me&new=pw", "postgresql://db/s?user=me&new=***"),
        ("https://token@host/x#frag", "https://***@host/x#***"),
        ("sqlite:///shop.db?mode=ro", "sqlite:///shop.db?mode=ro"),
        ("host=db password=pw", "***"),
    ],
)  # fmt: skip
def test_urls_are_shown_without_what_is_private(url, shown):
    assert mask_url(url) == shown


@given(secret=st.text(min_size=4).filter(lambda s: s not in "***" and "*" not in s))
def test_a_redacted_text_never_holds_the_secret(secret):
    """However it was spelled: plain, in JSON, as Python prints it."""
    for text in (secret, json.dumps({"a": secret}), repr([secret]), f"x{secret}y"):
        cleaned = redact(text, [secret])
        assert secret not in cleaned
        assert json.dumps(secret)[1:-1] not in cleaned


def test_url_spellings_of_a_secret_are_taken_out():
    cleaned = Redactor([PASSWORD])(
        "at s3cr3t%2Fpass%40word%25%C3%A9 and s3cr3t/pass%40word%25%C3%A9"
    )
    assert cleaned == "at *** and ***"


@pytest.mark.parametrize(
    "said",
    [
        "k%2fey%2b9%3d%26x", r"k\/ey+9=&x", r"k/ey\u002B9=\u0026x", r"k/ey+9=\u0026x",
        "k/ey+9=&amp;x", "k&#x2F;ey+9&#x3D;&amp;x",
    ],
)  # fmt: skip
def test_what_a_service_repeats_is_taken_out_however_it_spells_it(said):
    """P12: PHP, .NET, Go and template engines each escape other characters."""
    assert redact(f'{{"error": "wrong key {said}"}}', ["k/ey+9=&x"]) == '{"error": "wrong key ***"}'


def test_a_variable_that_is_no_text_is_a_secret_too(tmp_path):
    """What os.environ makes of bytes that are no UTF-8 ends in no traceback."""
    (tmp_path / "proctor.toml").write_text("backfills = []\n")
    config = load(tmp_path, environ={"OLD_TOKEN": "\udcff\udcfepassword"})
    assert config.redact("with \udcff\udcfepassword and %FF%FEpassword") == "with *** and ***"


def test_a_secret_inside_another_leaves_no_rest():
    assert redact("abcdefgh abcd", ["abcd", "abcdefgh"]) == "*** ***"


def test_a_very_short_secret_is_taken_out_where_it_stands_alone():
    """A password "a" must not turn every word into stars, nor be shown."""
    assert redact("user:a@host and password=a, a database", ["a"]).count("***") == 3
    assert "database" in redact("a database", ["a"])


def test_passwords_of_unknown_urls_are_taken_out_too():
    assert (
        redact("cannot reach postgresql://x:pw@db/y", []) == "cannot reach postgresql://x:***@db/y"
    )


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "proctor.toml"
    path.write_text(
        'backfills = []\nledger = "postgresql://l:ledger-pw@db/x?sslkey=private-key-1"\n'
        '[env.e]\nstore = "postgresql://app:${PW}@db/shop"\n[env.broken]\nstore = "${PW}"\n'
        '[env.gone]\nstore = "postgresql://${PW}${MISSING}@db/"\n'
        "[[throttle.signal]]\nname = 'q'\nlimit = 1\nhttp = 'https://h/${HOOK}'\n"
        "headers = { X-Key = 'k-${HEAD}' }\n"
    )
    variables = {
        "PW": PASSWORD,
        "HOOK": "hook-path",
        "HEAD": "head-value",
        "OPENAI_API_KEY": "sk-environment",
        "PROXY": "http://me:proxy-pw@proxy",
        "HOME": "plain-home",
    }
    return load(path, environ=variables)


PLANTED = [
    *(PASSWORD, "ledger-pw", "private-key-1", "hook-path", "head-value", "sk-environment"),
    "proxy-pw",
]


def test_no_face_of_the_config_shows_a_secret(config):
    """Printed, formatted and represented, with everything that hangs on it."""
    env = config.env("e")
    faces = [repr(config), str(config), repr(env), f"{env}", repr(config.envs), repr(env.signals)]
    faces += [str(env.store), str(config.ledger), repr(config.throttle), repr(config.redact)]
    assert [word for word in PLANTED for face in faces if word in face] == []


@pytest.mark.parametrize("name", ["broken", "gone", "nobody"])
def test_no_error_shows_a_secret(config, name):
    """Neither its words nor its traceback, causes and contexts included."""
    with pytest.raises(ConfigError) as caught:
        config.env(name)
    text = "".join(traceback.format_exception(caught.value))
    assert [word for word in PLANTED if word in text] == []
    assert name in text


def test_a_wrong_file_is_explained_without_its_secrets(tmp_path):
    path = tmp_path / "proctor.toml"
    path.write_text(
        "backfills = 5\nledger = 'postgresql://l:ledger-pw@db'\n[env.e]\nstore = ['hook-path']\n"
        "[[throttle.signal]]\nname='x'\nlimit='a'\nhttp='https://proxy-pw@h'\nheaders=['head-value']"
    )
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    text = "".join(traceback.format_exception(caught.value))
    assert [word for word in PLANTED if word in text] == []


def test_the_config_can_clean_any_text_of_all_it_knows(config):
    """URL passwords, private parameters, headers, web addresses, and keys of the environment."""
    text = config.redact(" | ".join([*PLANTED, "plain-home", "shop"]))
    assert text == " | ".join(["***"] * len(PLANTED) + ["plain-home", "shop"])
    assert base64.b64encode(b"x").decode() in config.redact("eA==")

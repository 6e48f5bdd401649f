"""`[providers.NAME]` with a `url`: what is wrong is told by its key, and no secret is in it."""

import pytest

from proctor.config import load
from proctor.errors import ConfigError

HEAD = 'backfills = ["b"]\n[env.local]\nstore = "sqlite:///s.db"\n[providers.resolver]\n'
URL = 'url = "https://host/isbn?title={title}"\n'


@pytest.fixture
def loaded(tmp_path):
    """Loads a file with these lines of the section."""

    def loaded(lines, **environ):
        (tmp_path / "proctor.toml").write_text(HEAD + lines)
        return load(tmp_path / "proctor.toml", environ=environ)

    return loaded


def test_a_service_is_told_from_a_model_by_its_url(loaded):
    """Both have names of one table."""
    config = loaded(URL + '[providers.writer]\nmodel = "openai:gpt-5-mini"\n')
    assert (list(config.providers), list(config.services)) == (["writer"], ["resolver"])
    settings = config.services.settings("resolver")
    assert (settings.at, settings.model) == ("https://host", "GET https://host/isbn")
    assert settings.values == {"title"}


@pytest.mark.parametrize(
    ("lines", "what", "fix"),
    [
        ("rpm = 5", "names nobody to ask", 'model = "openai:gpt-5-mini", or for an HTTP service'),
        (URL + 'model = "openai:m"', "providers.resolver.model is wrong", "one of both"),
        (URL + "tpm = 5", "unknown key 'tpm' in [providers.resolver]", "did you mean 'rpm'"),
        (URL + "rpm = 0", "providers.resolver.rpm is wrong", "above 0"),
        (URL + "price = { input = 1 }", "providers.resolver.price", ""),
        ('url = "host/isbn"', "providers.resolver.url is wrong", "https://host/isbn?title={title}"),
        ('url = "ftp://host/"', "providers.resolver.url is wrong", "write an address"),
        ('url = "https://{host}/"', "providers.resolver.url is wrong", "only path and query"),
        ('url = "https://me:pw@host/"', "providers.resolver.url is wrong", "a login is a header"),
        ('url = "https://host/?api_key=k3y"', "providers.resolver.url is wrong", "api_key=${NAME}"),
        ('url = "https://host/{output}"', "providers.resolver.url is wrong", "ctx.http itself"),
        (URL + 'headers = { Authorization = "Bearer k3y" }', "headers is wrong", "${NAME}"),
        (URL + 'headers = { X-Api-Key = "k3y" }', "headers is wrong", "${NAME}"),
        (URL + 'headers = { "A b" = "x" }', "headers is wrong", "a name of letters"),
        (URL + 'body = "x"', "providers.resolver is wrong", 'method = "POST"'),
        (URL + 'method = "post"', "providers.resolver.method is wrong", "'GET', 'POST'"),
        (URL + 'method = "POST"\nbody = { api_key = "k3y" }', "body is wrong", "${NAME}"),
        (
            URL + 'method = "POST"\nbody = { a = [{ password = "k3y" }] }',
            "body is wrong",
            "${NAME}",
        ),
        (URL + 'method = "POST"\nbody = "a=b&client_secret=k3y"', "body is wrong", "=${NAME}"),
        (URL + 'method = "POST"\nbody = { a = [nan] }', "body is wrong", "no nan"),
        (URL + 'price = { request = "1e9999999" }', "price.request is wrong", "US dollars"),
        (URL + 'budget_usd = "1e-9999999"', "budget_usd is wrong", "US dollars"),
        (URL + "rpm = 99999999999999999999", "rpm is wrong", "at most"),
        ('url = "https://host:99999/{title}"', "providers.resolver.url is wrong", "0-65535"),
        ('url = "https://host/a b"', "providers.resolver.url is wrong", "no spaces"),
        ('url = "https://host/a\\nb"', "providers.resolver.url is wrong", "no spaces"),
        (URL + '[providers."my name"]\nmodel = "openai:m"', "my name", "a name of letters"),
        (URL + 'headers = { X-Name = "é" }', "headers is wrong", "one line"),
        (URL + 'method = "POST"\nidempotency_key = "a b"', "idempotency_key is wrong", "a header"),
        (URL + "expect = [404]", "providers.resolver.expect is wrong", "name the 2xx"),
        (URL + "expect = [200, 429]", "providers.resolver.expect is wrong", "never an answer"),
        (URL + 'method = "POST"\nbody = { d = 2026-01-02 }', "body is wrong", "in quotes"),
        (
            URL + 'method = "POST"\nbody = "{}"\nheaders = { Content-Type = "application/json" }',
            "providers.resolver is wrong",
            "as a table",
        ),
        (
            URL + 'method = "POST"\nbody = "{}"\nheaders = { Content-Type = "Application/JSON" }',
            "providers.resolver is wrong",
            "as a table",
        ),
    ],
)
def test_what_is_wrong_is_told_by_its_key(loaded, lines, what, fix):
    """With what to write; never with a value that may be secret."""
    with pytest.raises(ConfigError) as caught:
        loaded(lines)
    assert what in caught.value.what
    assert fix in f"{caught.value.fix} {caught.value.found}"
    assert "k3y" not in str(caught.value)
    assert "proctor.toml, line" in caught.value.what


def test_a_secret_that_is_missing_is_named_when_the_service_is_opened(loaded):
    """Not before: kept answers need none."""
    config = loaded(URL + 'headers = { Authorization = "Bearer ${BOOKS_KEY}" }')
    config.services.settings("resolver")
    assert config.services.missing("resolver") == ("BOOKS_KEY",)
    with pytest.raises(ConfigError, match="needs the environment variable BOOKS_KEY"):
        config.services["resolver"]


def test_secrets_of_a_service_are_taken_out_of_every_text(loaded):
    """P12: wherever they stand: header, query or body."""
    lines = (
        'url = "${AT}/isbn?k=${IN_URL}"\nmethod = "POST"\nbody = { pin = "${IN_BODY}" }\n'
        'headers = { Authorization = "Bearer ${IN_HEADER}" }'
    )
    secrets = {"IN_URL": "url-9f2c71", "IN_BODY": "body-00aa44", "IN_HEADER": "head-7b1e90"}
    config = loaded(lines, AT="https://host.example", **secrets)
    setup = config.services["resolver"]
    assert {n: s.reveal() for n, s in setup.secrets.items()} == secrets | {
        "AT": "https://host.example"
    }
    shown = config.redact(" ".join(secrets.values()))
    assert not any(secret in f"{shown} {setup!r}" for secret in secrets.values())


def test_a_fallback_that_is_a_service_is_refused(loaded):
    """A model's question cannot be asked of it."""
    with pytest.raises(ConfigError, match="fallback"):
        loaded(URL + '[providers.w]\nmodel = "openai:m"\nfallback = ["resolver"]\n')


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        ("", ""),
        ('method = "POST"', "Idempotency-Key"),
        ('method = "PUT"\nidempotency_key = "X-Once"', "X-Once"),
        ('method = "POST"\nidempotency_key = ""', ""),
        ('idempotency_key = "X-Once"', "X-Once"),
    ],
)
def test_calls_that_change_things_carry_a_key_unless_told_otherwise(loaded, lines, header):
    """GET changes nothing."""
    assert loaded(URL + lines).services.settings("resolver").idempotency_key == header

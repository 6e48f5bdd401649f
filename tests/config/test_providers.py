"""[providers.NAME]: what it may say, where keys are from, how every mistake is answered."""

import pickle

from decimal import Decimal

import pytest

from proctor.config import load
from proctor.errors import ConfigError
from proctor.model import Limits, Price

GOOD = """
backfills = []

[providers.writer]
model = "openai:gpt-5-mini"
rpm = 500
tpm = 200_000
daily = 1000
resets_at = "00:00 America/Los_Angeles"
budget_usd = "12.50"
concurrency = 32
timeout_s = 30
max_tokens = 400
price = { input = 0.25, output = "2" }
fallback = ["spare"]

[providers.spare]
model = "anthropic:claude-haiku-4-5"
budget_usd = 0.1

[providers.local]
model = "openai:qwen/qwen3"
base_url = "http://${GPU_HOST}:8000/v1"
"""
KEYS = {
    "OPENAI_API_KEY": "sk-writers-own-key",
    "ANTHROPIC_API_KEY": "sk-ant-other",
    "GPU_HOST": "gpu",
}


@pytest.fixture
def read(tmp_path):
    def read(text, environ=KEYS):
        path = tmp_path / "proctor.toml"
        path.write_text(text)
        return load(path, environ=environ)

    return read


@pytest.fixture
def fault(read):
    def fault(lines, name="writer"):
        with pytest.raises(ConfigError) as caught:
            read(f"backfills = []\n[providers.{name}]\n{lines}")
        return caught.value

    return fault


def test_a_whole_provider_becomes_settings_limits_and_a_key(read):
    writer = read(GOOD).providers["writer"]
    assert writer.settings.full_model == "openai:gpt-5-mini"
    assert (writer.settings.vendor, writer.settings.model) == ("openai", "gpt-5-mini")
    assert (writer.settings.timeout_s, writer.settings.max_tokens) == (30, 400)
    assert writer.limits == Limits(
        rpm=500,
        tpm=200_000,
        daily=1000,
        resets_at="00:00 America/Los_Angeles",
        budget_usd=Decimal("12.50"),
        concurrency=32,
    )
    assert writer.settings.price == Price(
        input_per_million=Decimal("0.25"), output_per_million=Decimal(2), source="proctor.toml"
    )
    assert writer.key.reveal() == KEYS["OPENAI_API_KEY"]
    assert writer.fallback == ("spare",)


def test_money_is_exactly_what_is_written(read):
    """A tenth of a dollar is not a tenth in binary."""
    assert read(GOOD).providers["spare"].limits.budget_usd == Decimal("0.1")


def test_an_address_from_the_environment_is_checked_when_it_is_known(read):
    text = GOOD.replace("http://${GPU_HOST}:8000/v1", "${GPU_URL}")
    assert read(text, {"GPU_URL": "http://gpu/v1"}).providers["local"].settings.base_url
    for wrong in ("gpu:8000", "http://me:secret12@gpu/v1"):
        with pytest.raises(ConfigError, match=r"key providers.local.base_url") as caught:
            read(text, {"GPU_URL": wrong}).providers["local"]
        assert "secret12" not in str(caught.value)


def test_what_an_address_takes_from_the_environment_is_redacted(read):
    config = read(
        GOOD.replace("${GPU_HOST}:8000", "host/${PATH_TOKEN}"), {"PATH_TOKEN": "abc123xyz"}
    )
    assert "abc123xyz" not in config.redact("see whether http://host/abc123xyz/v1 can be reached")


def test_without_a_price_none_is_made_up(read):
    assert read(GOOD).providers["spare"].settings.price is None


def test_a_missing_key_harms_only_its_own_provider(read):
    providers = read(GOOD, {"ANTHROPIC_API_KEY": "sk-ant-other"}).providers
    assert providers["spare"].key.reveal() == "sk-ant-other"
    with pytest.raises(ConfigError) as caught:
        providers["writer"]
    assert "line 4, key providers.writer needs the environment variable OPENAI_API_KEY" in (
        caught.value.what
    )
    assert caught.value.found == "it is not set"


def test_an_empty_key_is_no_key(read):
    with pytest.raises(ConfigError, match="it is empty"):
        read(GOOD, {"OPENAI_API_KEY": "  "}).providers["writer"]


def test_key_env_names_another_variable(read):
    text = GOOD.replace("rpm = 500", 'key_env = "TEAM_KEY"')
    assert read(text, {"TEAM_KEY": "k"}).providers["writer"].key.reveal() == "k"


def test_a_vendors_key_is_not_sent_to_another_address_unasked(read):
    """Whoever tries a model on a neighbour's machine does not hand over the key of OpenAI."""
    local = read(GOOD).providers["local"]
    assert (local.key, local.settings.key_env) == (None, "")
    assert local.settings.base_url == "http://gpu:8000/v1"
    asked = read(GOOD + 'key_env = "OPENAI_API_KEY"').providers["local"]
    assert asked.key.reveal() == KEYS["OPENAI_API_KEY"]


def test_a_key_is_shown_nowhere(read):
    """Not in a repr, not through the net that texts go through, not in a pickle."""
    config = read(GOOD.replace("rpm = 500", 'key_env = "WRITER"'), {"WRITER": "abcd"})
    writer = config.providers["writer"]
    assert "abcd" not in f"{config!r} {config.providers!r} {writer!r} {writer.key}"
    assert config.redact("the vendor said: abcd is wrong") == "the vendor said: *** is wrong"
    with pytest.raises(TypeError, match="does not travel"):
        pickle.dumps(writer.key)


@pytest.mark.parametrize("name", ["key", "api_key", "token", "openai_api_key", "secret"])
def test_a_key_in_the_file_is_refused_with_the_reason(fault, name):
    wrong = fault(f'model = "openai:gpt-5-mini"\n{name} = "sk-live-0123456789"')
    assert f"line 4, key providers.writer.{name} looks like a key" in wrong.what
    assert "key_env" in wrong.fix
    assert "files are shared" in wrong.fix
    assert "sk-live" not in str(wrong)


@pytest.mark.parametrize(
    "key", ["sk-live-0123456789", "AIzaSyB012345678901234567890", "${KEY}", ""]
)
def test_a_key_where_a_variables_name_belongs_is_refused_and_not_shown(fault, key):
    wrong = fault(f'model = "openai:gpt-5-mini"\nkey_env = "{key}"')
    assert (wrong.found, "the environment" in wrong.fix) == ("a text", True)
    assert not key or key not in str(wrong)


@pytest.mark.parametrize(
    ("line", "key", "fix"),
    [
        ("rpm = 0", "rpm", "above 0"),
        ("rpm = -5", "rpm", "above 0"),
        ("rpm = 1.5", "rpm", "a whole number"),
        ('rpm = "500"', "rpm", "a whole number, without quotes"),
        ("tpm = true", "tpm", "a whole number"),
        ("daily = 0", "daily", "above 0"),
        ("concurrency = 0", "concurrency", "above 0"),
        ("concurrency = 5000", "concurrency", "at most 1000"),
        ("timeout_s = 7200", "timeout_s", "at most 3600"),
        ("timeout_s = nan", "timeout_s", "finite"),
        ("max_tokens = 0", "max_tokens", "above 0"),
        ("budget_usd = 0", "budget_usd", "above 0"),
        ('budget_usd = "-1"', "budget_usd", "above 0"),
        ('budget_usd = "much"', "budget_usd", "US dollars"),
        ("budget_usd = inf", "budget_usd", "US dollars"),
        ("budget_usd = true", "budget_usd", "US dollars"),
        ("budget_usd = [1]", "budget_usd", "US dollars"),
        ("price = { input = -1, output = 2 }", "price.input", "at least 0"),
        ("price = 5", "price", "a table"),
        ('resets_at = "midnight"', "resets_at", "00:00 UTC"),
        ('resets_at = "25:00 UTC"', "resets_at", "00:00 UTC"),
        ('resets_at = "00:00 Atlantis/Capital"', "resets_at", "00:00 UTC"),
        ('base_url = "gpu:8000"', "base_url", "https://host/v1"),
        ('base_url = "https://me:secret12@host/v1"', "base_url", "no login"),
        ('base_url = "https://host/v1?key=secret12"', "base_url", "no login"),
        ('fallback = "spare"', "fallback", "a list"),
        ('fallback = ["nobody"]', "fallback", "name others"),
        ('fallback = ["writer"]', "fallback", "name others"),
    ],
)
def test_a_wrong_value_is_named_with_its_line_and_key(fault, line, key, fix):
    wrong = fault(f'model = "openai:gpt-5-mini"\n{line}')
    assert f"line 4, key providers.writer.{key}" in wrong.what
    assert fix in wrong.fix
    assert "secret12" not in str(wrong)


@pytest.mark.parametrize("model", ["gpt-5-mini", "openai:", "cohere:command", "openai: x", ""])
def test_a_model_names_its_vendor(fault, model):
    wrong = fault(f'model = "{model}"')
    assert "line 3, key providers.writer.model" in wrong.what
    assert "openai:gpt-5-mini" in wrong.fix


def test_an_unknown_key_is_answered_with_the_nearest(fault):
    wrong = fault('model = "openai:gpt-5-mini"\nrpn = 5')
    assert ("line 4" in wrong.what, wrong.fix) == (True, "did you mean 'rpm'?")


def test_an_unknown_key_of_a_price_is_answered_with_the_nearest(fault):
    wrong = fault('model = "openai:gpt-5-mini"\nprice = { input = 1, outputs = 2 }')
    assert wrong.fix == "did you mean 'output'?"


def test_a_provider_without_a_model_is_refused(fault):
    wrong = fault("rpm = 5")
    assert "providers.writer names nobody to ask" in wrong.what
    assert "openai:gpt-5-mini" in wrong.fix


def test_an_output_cap_above_the_rate_of_tokens_is_refused(fault):
    """Each call reserves its cap: none would ever be let through."""
    wrong = fault('model = "openai:gpt-5-mini"\ntpm = 100\nmax_tokens = 200')
    assert "no call could ever" in wrong.fix


def test_a_reset_without_a_zone_is_in_utc(read):
    text = GOOD.replace('resets_at = "00:00 America/Los_Angeles"', 'resets_at = "07:30"')
    assert read(text).providers["writer"].limits.resets_at == "07:30 UTC"


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        ("wordllama", ""),
        ("./potion", "potion"),
        ("models/potion", "models/potion"),
        ("~nobody-of-that-name/potion", "~nobody-of-that-name/potion"),
    ],
)
def test_a_local_model_that_is_written_as_a_path_is_a_folder(tmp_path, model, folder):
    """From the file on, also beside it, and where there is no such home."""
    (tmp_path / "proctor.toml").write_text(
        f'backfills = []\n[run]\nreports = "{model}"\n[providers.e]\nmodel = "local:{model}"\n'
        '[env.local]\nstore = "sqlite:///s.db"\n'
    )
    config = load(tmp_path)
    assert config.providers.settings("e").folder == (str(tmp_path / folder) if folder else "")
    assert config.env("local").reports == tmp_path / model

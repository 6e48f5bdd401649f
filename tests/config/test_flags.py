"""`[flags.NAME]`: what is wrong is told by its key, and no secret is in it."""

import pytest

from proctor.config import load
from proctor.errors import ConfigError
from proctor.model import EnvFileFlag, FlagdFlag, HttpFlag, ShellFlag, SqlFlag, UnleashFlag

HEAD = 'backfills = ["b"]\n[env.local]\nstore = "sqlite:///s.db"\n[flags.aboutness]\n'
SQL = 'kind = "sql"\nurl = "sqlite:///app.db"\n'
UNLEASH = 'kind = "unleash"\nurl = "https://flags.example"\nenvironment = "production"\n'
HTTP = (
    'kind = "http"\nread = { url = "https://f.example", json = "$.p" }\n'
    'write = { url = "https://f.example", headers = { Authorization = "Bearer ${T}" } }\n'
)


@pytest.fixture
def loaded(tmp_path):
    """Loads a file with these lines of the section."""

    def loaded(lines, **environ):
        (tmp_path / "proctor.toml").write_text(HEAD + lines)
        return load(tmp_path / "proctor.toml", environ=environ)

    return loaded


@pytest.mark.parametrize(
    ("lines", "what", "fix"),
    [
        ("", "flags.aboutness.kind does not say where the flag is kept", "env_file"),
        ('kind = "sqll"', "does not say where the flag is kept", 'kind = "sql"'),
        ("kind = 5", "does not say where the flag is kept", 'kind = "sql"'),
        ('kind = "sql"', "flags.aboutness.url is missing", "add url"),
        (SQL + "tabel = 'f'", "unknown key 'tabel' in [flags.aboutness]", "did you mean 'table'"),
        (SQL + "table = 'a; b'", "flags.aboutness.table is wrong", "name of a table"),
        (SQL + "cohort_table = 'c'", "flags.aboutness is wrong", "belong together"),
        (SQL + "verify_s = -1", "flags.aboutness.verify_s is wrong", "at least 0"),
        ('kind = "env_file"\npath = "a"\non = "x"\noff = "x"', "is wrong", "two different words"),
        ('kind = "env_file"\npath = "a"\non = "a b"', "is wrong", "without quotes"),
        ('kind = "flagd"\npath = "flags.yaml"', "flags.aboutness.path is wrong", "JSON"),
        (UNLEASH + 'token = "k3y"', "flags.aboutness.token is wrong", '"${NAME}"'),
        (UNLEASH, "flags.aboutness.token is missing", "add token"),
        (
            'kind = "shell"\nread = ["a"]\nwrite = "a b"',
            "write is wrong",
            "list in square brackets",
        ),
        ('kind = "shell"\nwrite = ["a"]', "flags.aboutness.read is missing", "add read"),
        ('kind = "shell"\nread = []\nwrite = ["a"]', "flags.aboutness.read is wrong", ""),
        (
            (
                'kind = "http"\nread = { url = "https://f" }\n'
                'write = { url = "https://f", headers = { X-Api-Key = "k3y" } }'
            ),
            "flags.aboutness.write.headers is wrong",
            "${NAME}",
        ),
        (
            'kind = "http"\nwrite = { url = "https://f" }\nread = { ulr = "https://f" }',
            "unknown key 'ulr' in [flags.aboutness.read]",
            "did you mean 'url'",
        ),
        ('kind = "vercel"\ntoken = "${T}"', "flags.aboutness.edge_config is missing", ""),
        ('kind = "growthbook"\ntoken = "${T}"', "flags.aboutness.environment is missing", ""),
    ],
)
def test_what_is_wrong_is_told_by_its_key(loaded, lines, what, fix):
    """With file and line, and what to write; never with a value that may be secret."""
    with pytest.raises(ConfigError) as caught:
        loaded(lines)
    assert what in caught.value.what
    assert fix in f"{caught.value.fix} {caught.value.found}"
    assert "proctor.toml, line" in caught.value.what
    assert "k3y" not in str(caught.value)


def test_a_flag_is_kept_under_its_sections_name_unless_told_otherwise(loaded, tmp_path):
    """And a relative file starts at the folder of proctor.toml."""
    flag = loaded(SQL).flags["aboutness"]
    assert flag == SqlFlag(name="aboutness", flag="aboutness", url=f"sqlite:///{tmp_path}/app.db")
    flag = loaded('kind = "flagd"\npath = "f.json"\nflag = "V2"').flags["aboutness"]
    assert flag == FlagdFlag(name="aboutness", flag="V2", path=tmp_path / "f.json")
    flag = loaded('kind = "env_file"\npath = "${WHERE}/app.env"', WHERE="etc").flags["aboutness"]
    assert flag == EnvFileFlag(
        name="aboutness", flag="aboutness", path=tmp_path / "etc" / "app.env"
    )


def test_every_kind_is_resolved(loaded, tmp_path):
    """Texts with their variables filled in, wherever they stand."""
    config = loaded(
        HTTP + '[flags.b]\nkind = "shell"\nread = ["r", "${T}"]\nwrite = ["w"]', T="k3y"
    )
    flag = config.flags["aboutness"]
    assert isinstance(flag, HttpFlag)
    assert (flag.write.method, flag.read.method, flag.read.pick) == ("POST", "GET", "$.p")
    assert flag.write.headers == {"Authorization": "Bearer k3y"}
    shell = config.flags["b"]
    assert isinstance(shell, ShellFlag)
    assert (shell.read, shell.cwd, shell.observe) == (("r", "k3y"), tmp_path, ())
    vercel = 'kind = "vercel"\ntoken = "${T}"\nedge_config = "ecfg_1"'
    flag = loaded(vercel, T="k3y").flags["aboutness"]
    assert (flag.vendor, flag.url, flag.of) == (
        "vercel",
        "https://api.vercel.com",
        {"edge_config": "ecfg_1"},
    )


def test_a_variable_that_is_missing_harms_only_its_own_flag(loaded):
    """And is named when the flag is asked for, not before."""
    lines = UNLEASH + 'token = "${UNLEASH_TOKEN}"\n[flags.b]\n' + SQL
    config = loaded(lines)
    assert isinstance(config.flags["b"], SqlFlag)
    assert "aboutness" in config.flags
    assert config.flags.kind("aboutness") == "unleash"
    with pytest.raises(ConfigError, match=r"token needs the environment variable UNLEASH_TOKEN"):
        config.flags["aboutness"]


def test_secrets_of_flags_are_taken_out_of_every_text(loaded):
    """P12: also short ones, and whatever they are called."""
    lines = (
        UNLEASH
        + 'token = "${ONE}"\nclient_token = "${TWO}"\n[flags.b]\n'
        + HTTP
        + '[flags.c]\nkind = "sql"\nurl = "postgresql://u:${PW}@h/d"\n'
        + '[flags.d]\nkind = "shell"\nread = ["r"]\nwrite = ["w", "--key=${FOUR}"]'
    )
    environ = {"ONE": "a-1", "TWO": "b-22", "T": "c-333", "PW": "d/4444", "FOUR": "e-55555"}
    config = loaded(lines, **environ)
    flags = [config.flags[name] for name in "bcd"] + [config.flags["aboutness"]]
    assert isinstance(flags[-1], UnleashFlag)
    assert flags[-1].token == "a-1"
    shown = config.redact(" ".join(environ.values()))
    assert not any(secret in f"{shown} {flags}" for secret in environ.values())
    assert "***" in shown

"""docs/configuration.md and docs/authoring.md name exactly what the code takes."""

import inspect
import re
import tomllib

from pathlib import Path

import pytest

from proctor import backfill
from proctor.config import load
from proctor.config.flagdraft import KINDS, FlagDraft, FlagRequestDraft, VendorFlagDraft
from proctor.config.notify import AlertsDraft, NotifyDraft, ShareDraft
from proctor.config.paid import BatchDraft, PriceDraft, ProviderDraft
from proctor.config.schema import (
    AnswersDraft,
    Draft,
    EnvDraft,
    RunDefaults,
    SignalDraft,
    Throttle,
    Window,
)
from proctor.config.service import ServiceDraft

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "configuration.md").read_text(encoding="utf-8")
SECTIONS = {
    "alerts",
    "answers",
    "notify",
    "share",
    "run",
    "throttle",
    "window",
    "env",
    "flags",
    "signal",
    "providers",
}
TABLES = {
    "At the top": Draft,
    "`[env.NAME]`": EnvDraft,
    "`[run]`": RunDefaults,
    "`[throttle]`": Throttle,
    "`[[throttle.signal]]`": SignalDraft,
    "`[window]`": Window,
    "`[answers]`": AnswersDraft,
    "`[notify]`": NotifyDraft,
    "`[alerts]`": AlertsDraft,
    "`[alerts.share.NAME]`": ShareDraft,
    "`[providers.NAME]`": ProviderDraft,
    "`batch`": BatchDraft,
    "`price`": PriceDraft,
    "`[providers.NAME]` with a `url`": ServiceDraft,
}


def rows(page, title):
    """The words in the first column of the table under a heading."""
    part = re.split(r"^#+ ", page.partition(f" {title}\n")[2], flags=re.MULTILINE)[0]
    return set(re.findall(r"^\| `(\w+)` \|", part, flags=re.MULTILINE))


VENDORS = {kind for kind, draft in KINDS.items() if issubclass(draft, VendorFlagDraft)}


def own(kind):
    """The keys that a kind of flag has besides those of all kinds."""
    return set(KINDS[kind].model_fields) - set(FlagDraft.model_fields) - {"kind"}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - VENDORS))
def test_every_key_of_a_flag_is_told_with_its_kind(kind):
    """In the table under the kind's heading."""
    assert rows(PAGE, f'`kind = "{kind}"`') == own(kind)


def test_the_keys_of_all_flags_of_requests_and_of_vendors_are_told():
    """Each in its table; a vendor has a row, in which its own keys are named."""
    assert rows(PAGE, "`[flags.NAME]`") == {"kind", *FlagDraft.model_fields}
    requests = {f.alias or name for name, f in FlagRequestDraft.model_fields.items()}
    assert rows(PAGE, '`write` and `read` of `kind = "http"`') == requests
    title = "`launchdarkly`, `growthbook`, `configcat`, `railway`, `vercel`"
    assert rows(PAGE, title) == VENDORS
    for vendor in VENDORS:
        (row,) = re.findall(rf"^\| `{vendor}` \|.*$", PAGE, flags=re.MULTILINE)
        keys = own(vendor) - {"token", "url"}
        assert keys <= set(re.findall(r"`(\w+)`", row))


@pytest.mark.parametrize("title", TABLES)
def test_every_key_is_told_in_its_section(title):
    """A setting that nobody can find might as well not be there."""
    keys = {f.alias or name for name, f in TABLES[title].model_fields.items()}
    assert rows(PAGE, title) == keys - SECTIONS


def test_the_example_is_a_configuration_that_loads(tmp_path, monkeypatch):
    """What can be copied works."""
    (shown,) = re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert tomllib.loads(shown)
    (tmp_path / "proctor.toml").write_text(shown, encoding="utf-8")
    monkeypatch.setenv("DATABASE_URL", "postgresql://shop@localhost/shop")
    config = load(tmp_path / "proctor.toml")
    assert config.env("production").protected
    assert config.env("production").blackout


def test_every_word_of_the_decorator_is_told():
    """And no word that it does not take."""
    page = (DOCS / "authoring.md").read_text(encoding="utf-8")
    taken = inspect.signature(backfill).parameters.values()
    named = {p.name for p in taken if p.kind is not p.VAR_KEYWORD}  # which catches the unknown
    assert rows(page, "What `backfill` takes") == named

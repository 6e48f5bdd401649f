"""What a person sees when something is wrong."""

import click
import pytest

from proctor.config.secret import Redactor
from proctor.errors import Denied, UsageError
from proctor.ui import faults


def test_an_error_has_three_lines():
    """What, found, to mend: each where the eye looks for it."""
    fault = Denied(
        "the role may not write", found="role app", fix="GRANT UPDATE ON t TO app;\nthen"
    )
    assert click.unstyle(faults.render(fault)).splitlines() == [
        "error:   the role may not write",
        "found:   role app",
        "to mend: GRANT UPDATE ON t TO app;",
        "         then",
    ]


def test_parts_that_are_empty_have_no_line():
    assert click.unstyle(faults.render(UsageError("no"))) == "error:   no"


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach postgresql://app:hunter2@db/shop",
        "postgresql+psycopg://app:hunter2@db:5432/shop?sslmode=require",
        "connect(password='hunter2')",
        '{"api_key": "hunter2"}',
        "token=hunter2&x=1",
        "tokens=hunter2, refresh_tokens: hunter2",
        "DB_PASSWORD=hunter2",
    ],
)
def test_what_looks_like_a_password_is_never_shown(text):
    """P12: no secret leaves, not even through a driver's message."""
    assert "hunter2" not in faults.redacted(text)
    assert "hunter2" not in faults.render(faults.understood(RuntimeError(text)))
    assert "hunter2" not in faults.trace(RuntimeError(text))


@pytest.mark.parametrize(
    "text",
    [
        "table customers at db.example.com: no token was found",
        'max_tokens = 1024, {"output_tokens": 17}',
    ],
)
def test_an_ordinary_sentence_is_left_alone(text):
    assert faults.redacted(text) == text


def test_an_unforeseen_fault_is_not_a_traceback():
    """It says what happened, how to learn more, and that nothing is lost."""
    fault = faults.understood(ZeroDivisionError("division by zero"))
    assert fault.found == "ZeroDivisionError: division by zero"
    assert "--debug" in fault.fix
    assert fault.exit_code == 1


def test_a_traceback_is_without_the_secrets_of_the_configuration():
    """P12: also those that no pattern could know, in the message of any error of the chain."""
    error = RuntimeError("asked with correct-horse")
    error.__cause__ = OSError("refused correct-horse")
    told = faults.trace(error, Redactor(["correct-horse"]))
    assert "refused ***" in told
    assert "asked with ***" in told

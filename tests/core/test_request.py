"""A value stands in its place of a request, and nowhere else."""

import json

from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.request import plain, rendered
from proctor.model import ServiceSettings

SECRETS = {"KEY": "s3cret/+ &", "AT": "https://other.example"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def service(**said):
    """A service with these templates."""
    told = {"name": "resolver", "url": "https://host/isbn?title={title}", "at": "https://host"}
    return ServiceSettings(**(told | said))


@given(TEXTS)
def test_any_text_comes_out_of_a_query_as_it_went_in(text):
    """P2: whatever it holds: &, =, #, +, %, line breaks, other templates."""
    url = rendered(service(), {"title": text}, SECRETS).url
    parts = urlsplit(url)
    assert (parts.netloc, parts.path, parts.fragment) == ("host", "/isbn", "")
    assert parse_qs(parts.query, keep_blank_values=True) == {"title": [text]}


@given(TEXTS.filter(lambda text: text not in {"", ".", ".."}))
def test_any_text_is_one_part_of_a_path(text):
    """A slash in a title leads nowhere else."""
    url = rendered(service(url="https://host/a/{title}/b"), {"title": text}, SECRETS).url
    assert [unquote(part) for part in urlsplit(url).path.split("/")] == ["", "a", text, "b"]


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_what_would_lead_to_another_resource_is_refused(text):
    """`/books/../{id}` asks something else."""
    with pytest.raises(ValueError, match=r"into the path in the place of {title}"):
        rendered(service(url="https://host/{title}"), {"title": text}, {})


def test_a_value_is_no_template():
    """P12: a title that reads like a secret's name is a title."""
    title = "{title} ${KEY} {{x}} $${KEY}"
    body = {"a": "{title}", "b": "is {title}", "c": ["{title}", 1, True]}
    made = rendered(service(method="POST", body=body), {"title": title}, SECRETS)
    assert json.loads(made.content) == {"a": title, "b": f"is {title}", "c": [title, 1, True]}
    assert SECRETS["KEY"] not in made.url + made.content.decode()


def test_secrets_are_filled_in_by_place():
    """Raw in a header and in an address, encoded in a query."""
    made = rendered(
        service(url="${AT}/v1/isbn?key=${KEY}&t={title}", headers={"Authorization": "Is ${KEY}"}),
        {"title": "x"},
        SECRETS,
    )
    assert made.url == "https://other.example/v1/isbn?key=s3cret%2F%2B%20%26&t=x"
    assert made.headers["authorization"] == "Is s3cret/+ &"
    assert "s3cret" not in repr(made)


def test_a_body_of_json_keeps_types_where_a_text_is_one_hole():
    """Else it is text, as people read it."""
    body = {"n": "{n}", "flag": "{flag}", "tags": "{tags}", "said": "{n} and {flag}", "no": "{no}"}
    values = {"n": 7, "flag": True, "tags": ["a", {"b": 1.5}], "no": None}
    made = rendered(service(method="POST", body=body, url="https://host/"), values, {})
    assert json.loads(made.content) == {**values, "said": "7 and true"}
    assert made.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("application/x-www-form-urlencoded", "t=a%26b+%3Cc%3E"),
        ("application/xml", "t=a&amp;b &lt;c&gt;"),
        ("Application/X-WWW-Form-URLencoded; charset=UTF-8", "t=a%26b+%3Cc%3E"),
        ("TEXT/XML", "t=a&amp;b &lt;c&gt;"),
        ("text/plain", "t=a&b <c>"),
    ],
)
def test_a_body_of_text_is_encoded_as_its_type_says(kind, sent):
    """A form's & and XML's < are no part of a title."""
    made = rendered(
        service(method="POST", body="t={title}", headers={"Content-Type": kind}),
        {"title": "a&b <c>"},
        {},
    )
    assert made.content.decode() == sent


def test_doubled_braces_are_braces():
    """For who needs one."""
    assert rendered(service(url="https://host/?q={{{title}}}"), {"title": "x"}, {}).url.endswith(
        "?q={x}"
    )


@pytest.mark.parametrize("value", [None, [1], {"a": 1}])
def test_what_has_no_single_text_has_no_place_in_an_address(value):
    """A NULL title is its row's fault: the word None is nobody's title."""
    with pytest.raises(ValueError, match=r"in the place of {title}"):
        rendered(service(), {"title": value}, {})


def test_values_are_json_safe_and_the_same_in_every_process():
    """They are part of the question."""
    uuid = UUID(int=7)
    given = {"d": date(2026, 1, 2), "t": datetime(2026, 1, 2, tzinfo=UTC), "n": Decimal("1.50")}
    assert plain({**given, "u": uuid, "l": (1, None)}) == {
        "d": "2026-01-02",
        "t": "2026-01-02T00:00:00+00:00",
        "n": "1.50",
        "u": str(uuid),
        "l": [1, None],
    }


@pytest.mark.parametrize("value", [b"x", float("nan"), float("inf"), {1: 2}, object(), {"a": b""}])
def test_what_cannot_be_sent_is_named_by_its_type(value):
    """And not by what is in it."""
    with pytest.raises(TypeError, match="cannot be sent to a service"):
        plain(value)

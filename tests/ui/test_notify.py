"""`proctor notify` and what `doctor` says of places: looked at, and with --test really sent."""

import json

import pytest

from proctor.ui.cli import main
from receiver import receiving
from shop import CONFIG, Shop


@pytest.fixture
def receiver():
    with receiving() as server:
        yield server


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    Shop(tmp_path)
    monkeypatch.chdir(tmp_path)

    def call(notify, *words):
        (tmp_path / "proctor.toml").write_text(CONFIG + notify)
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def tables(*urls):
    return "".join(f'[[notify]]\nname = "n{n}"\nurls = ["{u}"]\n' for n, u in enumerate(urls))


def test_a_test_message_arrives_and_is_reported(call, receiver):
    code, said = call(tables(receiver.url), "notify", "--test")
    assert (code, said["ok"]) == (0, True)
    assert said["tried"] == [{"place": "n0", "kind": "json", "sent": True, "why": ""}]
    assert receiver.titles == ["Proctor, local: a test"]


def test_a_place_that_fails_is_named_with_the_reason(call, receiver):
    receiver.status = 403
    code, said = call(tables(receiver.url, "${NOT_SET_ANYWHERE}"), "notify", "--test")
    assert (code, said["ok"]) == (1, False)
    assert "403" in said["tried"][0]["why"]
    assert "NOT_SET_ANYWHERE" in said["tried"][1]["why"]


def test_one_place_can_be_tried_alone(call, receiver):
    with receiving() as other:
        code, said = call(tables(receiver.url, other.url), "notify", "--test", "--place", "n1")
        assert code == 0
        assert len(other.got) == 1
    assert [one["place"] for one in said["tried"]] == ["n1"]
    assert receiver.got == []


def test_without_test_nothing_is_sent(call, receiver):
    code, said = call(tables(receiver.url, "nosuch://x"), "notify")
    assert code == 1
    assert [bool(one["wrong"]) for one in said["places"]] == [False, True]
    assert receiver.got == []


@pytest.mark.parametrize(
    ("notify", "words"), [("", []), ('[notify]\nurls = ["json://x"]\n', ["--place", "n7"])]
)
def test_nobody_to_tell_is_wrong_use(call, notify, words):
    code, said = call(notify, "notify", "--test", *words)
    assert code == 2
    assert "[notify]" in said["error"]["fix"]


def findings(said):
    return {f["subject"]: f for f in said["findings"] if f["subject"].startswith("notices")}


def test_the_doctor_says_that_nobody_is_told(call):
    code, said = call("", "doctor")
    assert code == 0
    assert "nobody is told" in findings(said)["notices"]["detail"]


def test_the_doctor_looks_at_every_place_and_sends_nothing(call, receiver):
    code, said = call(tables(receiver.url, "nosuch://x", "${NOT_SET_ANYWHERE}"), "doctor")
    found = findings(said)
    assert code == 1
    assert found["notices: n0"]["ok"]
    assert found["notices: n0"]["detail"] == "json, warning and above of *"
    assert not found["notices: n1"]["ok"]
    assert "export NOT_SET_ANYWHERE" in found["notices: n2"]["fix"]
    assert receiver.got == []


def test_the_page_for_people_names_place_and_outcome(tmp_path, monkeypatch, capsys, receiver):
    Shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "proctor.toml").write_text(CONFIG + tables(receiver.url))
    assert main(["notify", "--test"]) == 0
    assert ["ok", "n0", "json", "sent"] in [x.split() for x in capsys.readouterr().out.splitlines()]

"""What was approved is what runs: each part by name, each file by name, and ten per cent."""

import json

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.engine.approval import (
    ACCEPTABLE,
    Approval,
    differences,
    hold_plan,
    judges_drift,
    refuse_drift,
)
from proctor.errors import PlanVoid, UsageError
from proctor.model import Survey
from proctor.ui.commands import work

PARTS = {
    name: f"digest of {name}"
    for name in ("code", "params", "spec", "schema", "target", "env", "limits")
}
FILES = {"backfills/wardrobe.py": "aa", "backfills/lowered.py": "bb", "pydantic": "2.9.0"}


def approval(*, eligible=None, estimated=False, files=None, **changed):
    return Approval(
        parts=PARTS | changed,
        files=FILES if files is None else files,
        eligible=eligible,
        estimated=estimated,
    )


def surveyed(eligible, **more):
    """What is found today."""
    return Survey(rows=eligible, eligible=eligible, first=None, last=None, **more)


def plan_file(found, **changed):
    """A plan as `plan --out` writes it, as far as an approval goes."""
    return json.dumps(
        {
            "digest": found.digest,
            "parts": dict(found.parts),
            "files": dict(found.files),
            "survey": {
                "rows": 3421,
                "eligible": found.eligible,
                "estimated": found.estimated,
            },
        }
        | changed
    )


def test_the_same_holds():
    hold_plan(approval(), approval(), accept=())


@pytest.mark.parametrize("part", PARTS)
def test_a_change_of_any_part_is_held_and_named(part):
    """Code, parameters, spec, schema, target, environment, limits: none slips through."""
    now = approval(**{part: "another"})
    with pytest.raises(PlanVoid) as caught:
        hold_plan(approval(), now, accept=())
    assert caught.value.what == f"{part} changed since the plan was made"
    assert part in caught.value.found
    assert list(differences(approval(), now)) == [part]
    assert now.digest != approval().digest


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_came_or_went_is_a_change(part):
    """An approval by an older Proctor, which knew fewer parts, does not cover the new one."""
    fewer = Approval(parts={k: v for k, v in PARTS.items() if k != part}, files=FILES)
    for then, now in ((fewer, approval()), (approval(), fewer)):
        with pytest.raises(PlanVoid, match=f"{part} changed"):
            hold_plan(then, now, accept=())


def test_a_run_found_beside_its_rows_is_on_its_target_whatever_that_is_called():
    """Only the target's name is forgiven; and the run goes on under the digest it began with."""
    moved = approval(target="by another route")
    assert moved.on_target_of(approval()) == approval()
    with pytest.raises(PlanVoid, match="schema changed"):
        hold_plan(approval(), approval(target="z", schema="y").on_target_of(approval()), accept=())


def test_all_that_changed_is_named_at_once():
    with pytest.raises(PlanVoid) as caught:
        hold_plan(approval(), approval(code="x", schema="y", target="z"), accept=())
    assert caught.value.what == "code, schema, target changed since the plan was made"
    assert caught.value.found == (
        "code is not what it was; schema is not what it was; target is not what it was"
    )


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (FILES | {"backfills/lowered.py": "cc"}, "backfills/lowered.py"),
        (FILES | {"pydantic": "2.10.0"}, "pydantic"),
        (FILES | {"backfills/new.py": "dd"}, "backfills/new.py"),
        ({"backfills/wardrobe.py": "aa", "pydantic": "2.9.0"}, "backfills/lowered.py"),
        (
            {"backfills/wardrobe.py": "x", "backfills/lowered.py": "y", "pydantic": "2.9.0"},
            "backfills/lowered.py, backfills/wardrobe.py",
        ),
    ],
)
def test_the_file_that_changed_is_named(files, named):
    """Changed, added or gone: the refusal says which to look at."""
    with pytest.raises(PlanVoid) as caught:
        hold_plan(approval(), approval(code="another", files=files), accept=())
    assert caught.value.found == f"changed: {named}"


@pytest.mark.parametrize("part", ACCEPTABLE)
def test_a_change_may_be_accepted_by_name(part):
    now = approval(**{part: "another"})
    hold_plan(approval(), now, accept=(part,))
    with pytest.raises(PlanVoid) as caught:
        hold_plan(approval(), now, accept=())
    assert f"--accept-changes {part}" in caught.value.fix


@pytest.mark.parametrize("part", sorted(set(PARTS) - set(ACCEPTABLE)))
def test_another_target_cannot_be_accepted(part):
    """It is another run: the refusal does not offer it, and the option does not take it."""
    now = approval(**{part: "another"})
    with pytest.raises(PlanVoid) as void:
        hold_plan(approval(), now, accept=())
    assert "--accept-changes" not in void.value.fix
    with pytest.raises(UsageError) as wrong:
        hold_plan(approval(), now, accept=(part,))
    assert "code, params, schema, limits" in wrong.value.fix


def test_accepting_one_change_does_not_accept_another():
    with pytest.raises(PlanVoid) as caught:
        hold_plan(approval(), approval(code="x", params="y"), accept=("code",))
    assert caught.value.what == "params changed since the plan was made"


def test_the_refusal_offers_all_that_it_takes_at_once():
    """Whoever types what it says is not refused for the part accepted before."""
    with pytest.raises(PlanVoid) as caught:
        hold_plan(approval(), approval(code="x", limits="y"), accept=("code",))
    assert "--accept-changes code,limits" in caught.value.fix


def test_what_is_behind_a_part_is_named_with_what_it_was():
    """A version, a key, a limit: in words, not as a digest."""
    then = Approval(parts=PARTS, facts={"spec": {"version": "1", "key": "id"}, "limits": {}})
    now = Approval(
        parts=PARTS | {"spec": "x", "limits": "y"},
        facts={"spec": {"version": "2", "key": "id"}, "limits": {"busy_share": "0.9"}},
    )
    assert Approval.parse(now.dump()) == now
    with pytest.raises(PlanVoid) as caught:
        hold_plan(then, now, accept=())
    assert caught.value.found == ("busy_share was not given and is 0.9; version was 1 and is 2")


def test_the_command_takes_the_parts_that_the_engine_takes():
    """They are named twice, since the command's words must not load the engine."""
    assert work.ACCEPTABLE == ACCEPTABLE


def test_accepting_what_did_not_change_is_harmless():
    hold_plan(approval(), approval(), accept=ACCEPTABLE)


@given(st.dictionaries(st.text(), st.text(), max_size=6), st.dictionaries(st.text(), st.text()))
def test_a_runs_row_keeps_its_approval(parts, files):
    kept = Approval(parts=parts, files=files)
    assert Approval.parse(kept.dump()) == kept


def test_a_plan_file_keeps_its_approval_and_its_count():
    made = approval(eligible=3000)
    assert Approval.parse(plan_file(made)) == made


def test_the_digest_does_not_depend_on_the_order_of_parts():
    turned = Approval(parts=dict(reversed(PARTS.items())))
    assert turned.digest == approval().digest


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"parts": PARTS | {"code": "mine"}}, id="a part"),
        pytest.param({"parts": PARTS | {"more": "x"}}, id="one part more"),
        pytest.param({"parts": {}}, id="no parts"),
        pytest.param({"digest": "0" * 64}, id="the digest"),
        pytest.param({"digest": ""}, id="an empty digest"),
        pytest.param({"digest": None}, id="no digest"),
    ],
)
def test_an_edited_plan_file_is_refused(edit):
    with pytest.raises(PlanVoid, match="changed after it was made"):
        Approval.parse(plan_file(approval(eligible=3000), **edit))


def test_a_plan_file_from_which_the_digest_was_taken_is_refused():
    found = json.loads(plan_file(approval(eligible=3000)))
    del found["digest"]
    with pytest.raises(PlanVoid, match="changed after it was made"):
        Approval.parse(json.dumps(found))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "null",
        "7",
        "{}",
        '{"parts": 3}',
        '{"parts": {}, "files": 3}',
        '{"parts": {}, "survey": "many"}',
        '{"parts": {}, "survey": {"rows": 3}}',
        '{"parts": {}, "survey": {"eligible": "many"}}',
        '{"parts": {}, "survey": {"eligible": [3]}}',
    ],
)
def test_what_is_no_plan_is_refused_with_the_command_that_makes_one(text):
    with pytest.raises(UsageError, match="this is not a plan") as caught:
        Approval.parse(text)
    assert "proctor plan NAME --out FILE" in caught.value.fix


@pytest.mark.parametrize(
    ("planned", "eligible", "held"),
    [
        (1000, 1000, False),
        (1000, 1100, False),
        (1000, 1101, True),
        (1000, 900, False),
        (1000, 899, True),
        (30, 33, False),
        (30, 34, True),
        (70, 63, False),
        (70, 62, True),
        (3, 4, False),
        (3, 5, True),
        (0, 1, False),
        (0, 2, True),
        (1, 0, False),
        (10**12, 10**12 + 10**11, False),
        (10**12, 10**12 + 10**11 + 1, True),
    ],
)
def test_a_drift_of_over_ten_per_cent_holds(planned, eligible, held):
    """Ten per cent are borne, and one row always is; more is another plan."""
    found = approval(eligible=planned)
    if not held:
        refuse_drift(found, surveyed(eligible))
        return
    with pytest.raises(PlanVoid) as caught:
        refuse_drift(found, surveyed(eligible))
    assert f"{eligible:,} eligible now, {planned:,} in the plan" in caught.value.found


@given(st.integers(0, 10**15))
def test_the_boundary_of_the_drift_is_exact(tenth):
    """For any count that ten divides."""
    refuse_drift(approval(eligible=10 * tenth), surveyed(11 * tenth))
    refuse_drift(approval(eligible=10 * tenth), surveyed(9 * tenth))
    with pytest.raises(PlanVoid):
        refuse_drift(approval(eligible=10 * tenth), surveyed(11 * tenth + 2))


@pytest.mark.parametrize(("planned", "today"), [(True, False), (False, True), (True, True)])
def test_an_estimate_decides_nothing_about_drift(planned, today):
    """P8: a guess that is off by far holds no run, and one that is not is no proof either."""
    plan = approval(eligible=100, estimated=planned)
    refuse_drift(plan, surveyed(10_000, estimated=today))
    assert judges_drift(plan) is not planned


def test_an_estimate_cannot_be_edited_into_a_count():
    """Nor the other way round: a plan without a count would let every drift pass."""
    planned = json.loads(plan_file(approval(eligible=3000)))
    planned["survey"]["estimated"] = True
    with pytest.raises(PlanVoid):
        Approval.parse(json.dumps(planned))


def test_a_run_without_a_plan_has_no_drift():
    refuse_drift(approval(eligible=None), surveyed(10**9))


def test_the_count_that_was_looked_at_is_under_the_digest():
    """An edited count would loosen the bound on drift: the file is refused."""
    planned = approval(eligible=3000)
    edited = json.loads(plan_file(planned))
    edited["survey"]["eligible"] = 9000
    with pytest.raises(PlanVoid, match="changed after it was made"):
        Approval.parse(json.dumps(edited))
    assert Approval.parse(plan_file(planned)).eligible == 3000

"""The tables of legal moves: those of the design, complete, and all that is ever asked for."""

import ast

from itertools import product
from pathlib import Path

import pytest

import proctor.engine

from proctor.core.lifecycle import ACTIVE, CHUNK_MOVES, OCCUPYING, RUN_MOVES, legal, refuse
from proctor.model import ChunkState, RunState

S, C = RunState, ChunkState

# Design, section 2: queued → running → (pausing → paused) | (cancelling → cancelled) | failed |
# succeeded, any but running → rolling_back → rolled_back. An active run is not rolled back.
FORWARD = {
    (S.QUEUED, S.RUNNING),
    (S.RUNNING, S.PAUSING),
    (S.PAUSING, S.PAUSED),
    (S.RUNNING, S.CANCELLING),
    (S.CANCELLING, S.CANCELLED),
    (S.RUNNING, S.FAILED),
    (S.RUNNING, S.SUCCEEDED),
    (S.ROLLING_BACK, S.ROLLED_BACK),
    *((state, S.ROLLING_BACK) for state in (S.PAUSED, S.CANCELLED, S.FAILED, S.SUCCEEDED)),
}
GIVEN_UP = {
    (S.QUEUED, S.CANCELLED),
    (S.PAUSED, S.CANCELLING),
    (S.PAUSING, S.CANCELLING),
    (S.FAILED, S.CANCELLED),
}
WENT_ON = {(S.PAUSED, S.RUNNING), (S.PAUSING, S.RUNNING), (S.FAILED, S.RUNNING)}
CAUGHT_OUT = {(S.PAUSING, S.SUCCEEDED), (S.PAUSING, S.FAILED)}
ASKED_AGAIN = {(state, state) for state in (S.RUNNING, S.CANCELLING, S.ROLLING_BACK)}
IN_PART = {(S.ROLLING_BACK, S.CANCELLED), (S.ROLLING_BACK, S.SUCCEEDED)}


def reachable(moves, start):
    seen, edge = {start}, {start}
    while edge:
        edge = {b for a, b in moves if a in edge} - seen
        seen |= edge
    return seen


def test_the_table_is_that_of_the_design():
    """Its arrows, and beside them only those for giving up, going on and asking again."""
    assert set(RUN_MOVES) == (FORWARD | GIVEN_UP | WENT_ON | CAUGHT_OUT | ASKED_AGAIN | IN_PART)


def test_every_state_can_be_reached():
    assert reachable(RUN_MOVES, S.QUEUED) == set(S)
    assert reachable(CHUNK_MOVES, C.OPEN) == set(C)


def test_what_is_rolled_back_is_over():
    assert not any(a is S.ROLLED_BACK for a, _ in RUN_MOVES)


def test_every_other_run_can_come_to_an_end():
    """No state is a trap: from each a run can be given up or taken back."""
    for state in set(S) - {S.ROLLED_BACK}:
        assert reachable(RUN_MOVES, state) & {S.CANCELLED, S.ROLLED_BACK}


def test_an_active_run_is_never_rolled_back():
    """It is stopped first; only a rollback that was interrupted goes on."""
    assert {a for a, b in RUN_MOVES if b is S.ROLLING_BACK} & ACTIVE == {S.ROLLING_BACK}


def test_a_finished_run_does_not_run_again():
    assert not any(legal(state, S.RUNNING) for state in (S.SUCCEEDED, S.CANCELLED, S.ROLLED_BACK))


def test_every_arrow_has_its_reason():
    for why in (*RUN_MOVES.values(), *CHUNK_MOVES.values()):
        assert len(why) > 5
        assert not why.endswith(".")


def test_what_is_applied_or_split_stays_so():
    """Progress never goes back; an applied chunk can only be undone."""
    assert not any(a in (C.APPLIED, C.SPLIT) for a, _ in CHUNK_MOVES)


def test_only_a_claimed_chunk_is_written_or_cut():
    assert {a for a, b in CHUNK_MOVES if b in (C.APPLIED, C.SPLIT)} == {C.CLAIMED}


def test_a_run_that_may_still_write_keeps_others_off():
    """Every state from which a run can write again, or undo, holds its target and fills."""
    may_write = {s for s in S if S.RUNNING in reachable(RUN_MOVES, s)} | {S.ROLLING_BACK}
    assert may_write <= OCCUPYING
    assert OCCUPYING & {S.SUCCEEDED, S.CANCELLED, S.ROLLED_BACK} == set()


def test_a_refused_move_names_the_ways_that_there_are():
    error = refuse("r1", S.PAUSED, S.SUCCEEDED)
    assert error.what == "run r1 cannot become succeeded"
    assert error.found == "it is paused"
    assert error.fix == "from paused a run can become: cancelling, rolling_back, running"
    assert "nothing else; start a new run" in refuse("r1", S.ROLLED_BACK, S.RUNNING).fix


@pytest.mark.parametrize(("now", "then"), list(product(S, S)))
def test_a_move_is_legal_if_the_table_holds_it(now, then):
    assert legal(now, then) is ((now, then) in RUN_MOVES)


def asks(function):
    """Whether a call moves a run: the store's own, or the engine's that asks for it again."""
    return getattr(function, "attr", "") == "move" or getattr(function, "id", "") == "_moved"


def moves_asked():
    """Every `store.move(…, RunState.X, among=[…])` of the engine that spells its states out."""
    for path in sorted(Path(proctor.engine.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and asks(node.func):
                then = ast.unparse(node.args[1])
                among = next(ast.unparse(k.value) for k in node.keywords if k.arg == "among")
                if then.startswith("RunState.") and among.startswith("["):
                    yield f"{path.name}:{node.lineno}", then, among


def test_the_engine_asks_for_legal_moves_only():
    """Each pair that a call of `move` allows is an arrow of the table."""
    asked = list(moves_asked())
    assert len(asked) >= 8
    for where, then, among in asked:
        to = S[then.removeprefix("RunState.")]
        for name in ast.parse(among, mode="eval").body.elts:
            assert legal(S[name.attr], to), f"{where}: {name.attr} to {to.name}"

"""`:name` in an author's SQL is bound, and nothing that merely looks like it is touched."""

import pytest

from proctor.adapters.stores.params import rewrite, used
from proctor.errors import DefinitionError


@pytest.mark.parametrize(
    ("sql", "bound"),
    [
        ("a = :x", "a = <x>"),
        ("a=:x AND b>:y", "a=<x> AND b><y>"),
        ("f(:x,:y)", "f(<x>,<y>)"),
        (":x::int", "<x>::int"),
        ("a::x = :x", "a::x = <x>"),
        ("'don''t :x' || :x", "'don''t :x' || <x>"),
        (r"E'it\':x' || :x", r"E'it\':x' || <x>"),
        (r"'\' || :x", r"'\' || <x>"),
        ('":x" = :x', '":x" = <x>'),
        ('"a"":x" = :x', '"a"":x" = <x>'),
        ("`:x` = :x", "`:x` = <x>"),
        ("$$ :x $$ || :x", "$$ :x $$ || <x>"),
        ("$t$ :x $$ :x $t$ || :x", "$t$ :x $$ :x $t$ || <x>"),
        ("a -- :x\n= :x", "a -- :x\n= <x>"),
        ("a /* :x /* :x */ :x */ = :x", "a /* :x /* :x */ :x */ = <x>"),
        ("a[1:x] = :x", "a[1:x] = <x>"),
        ("a[lo:x] = :x", "a[lo:x] = <x>"),
        ("f(p := :x)", "f(p := <x>)"),
        ("strftime('%H:%M', a) = :x", "strftime('%H:%M', a) = <x>"),
        ("a = '12:x'", "a = '12:x'"),
    ],
)
def test_only_parameters_become_placeholders(sql, bound):
    """Strings, names, casts, slices, comments and dollar quotes stay as they are."""
    assert rewrite(sql, {"x", "y"}, lambda name: f"<{name}>") == bound


def test_an_unknown_parameter_is_named():
    """A typing error in SQL is found before it reaches the server."""
    with pytest.raises(DefinitionError, match=r"parameter :z is not declared.*declared are: x"):
        rewrite("a = :z", {"x"}, str)


def test_percent_signs_are_doubled_where_the_driver_reads_them():
    """`%` in an author's SQL survives a driver of the format style, wherever it stands."""
    sql = "a % 2 = :x AND b LIKE '%y' -- 5 %\n AND c /* % */ = \"%\""
    found = rewrite(sql, {"x"}, lambda name: f"%({name})s", double_percent=True)
    assert found % {"x": "1"} == sql.replace(":x", "1")


def test_used_names_come_in_order():
    """Each parameter once, as first met."""
    assert used("a = :y AND b = :x AND c = :y AND d = ':z'") == ["y", "x"]

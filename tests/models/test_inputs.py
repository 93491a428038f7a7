"""What inputs are, and the shapes with which they are fed."""

from __future__ import annotations

import pytest

from bench.errors import WrongUsage
from bench.models.inputs import batch_of, described, shapes


@pytest.mark.parametrize(
    ("sizes", "layout", "roles"),
    [
        ((1, 3, 224, 224), "NCHW", "bchw"),
        (("N", 224, 224, 3), "NHWC", "bhwc"),
        (("?", 3, "?", "?"), "NCHW", "bchw"),
        (("", 1, 28, 28), "NCHW", "bchw"),
        ((1, 28, 28, 1), "NHWC", "bhwc"),
        ((1, 3, 4, 3), "NCHW", "bchw"),
        ((1, 64, 14, 14), "NCHW", "bchw"),
        ((1, 14, 14, 64), "NHWC", "bhwc"),
        (("n", "c", "height", "width"), "NCHW", "bchw"),
        (("n", "H", "W", "c"), "NHWC", "bhwc"),
        (("a", "b", "c", "d"), None, "booo"),
        ((224, 224, 3), "HWC", "hwc"),
        ((3, 224, 224), "CHW", "chw"),
        ((128, 1, 64), None, "ooo"),
        ((1, 197, 768), None, "boo"),
        (("batch", 197, 768), None, "boo"),
        ((2, "batch", 128), None, "obo"),
        (("sequence_length", 576), None, "oo"),
        ((8, 10), None, "bo"),
        ((), None, ""),
    ],
)
def test_axes_have_roles(sizes: tuple[int | str, ...], layout: str | None, roles: str) -> None:
    found = described("x", "float32", sizes)
    assert found.layout == layout
    assert "".join(axis.role[0] for axis in found.axes or ()) == roles


def test_a_size_of_0_or_below_is_open() -> None:
    assert shapes([described("x", "float32", (0, 3, -1, 8))], asked={"": (2, 3, 4, 8)}) == {"x": (2, 3, 4, 8)}
    with pytest.raises(WrongUsage, match="leaves dimension 2 open"):
        shapes([described("x", "float32", (0, 3, -1, 8))])


@pytest.mark.parametrize("name", ["H", "?", "p2o.DynamicDimension.1", "a b", "größe"])
def test_open_sizes_are_given_by_shape_or_by_the_files_own_name(name: str) -> None:
    x = described("x", "float32", (1, 3, name, 64))
    assert shapes([x], asked={"x": (1, 3, 48, 64)}) == {"x": (1, 3, 48, 64)}
    assert shapes([x], dimensions={name: 48}) == {"x": (1, 3, 48, 64)}


def test_what_has_no_name_is_given_by_its_role() -> None:
    x = described("x", "float32", ("", 3, "", ""))
    assert shapes([x], dimensions={"height": 48, "width": 64, "batch": 2}) == {"x": (2, 3, 48, 64)}


def test_a_name_that_every_axis_bears_says_nothing_of_the_batch() -> None:
    x = described("x", "float32", ("?", 3, "?", "?"))
    assert shapes([x], dimensions={"?": 64}, batch_size=2) == {"x": (2, 3, 64, 64)}


def test_inputs_that_share_a_batch_get_the_same() -> None:
    both = [described("x", "float32", ("batch", 576)), described("state", "float32", (2, "batch", 128))]
    fed = shapes(both, batch_size=4)
    assert fed == {"x": (4, 576), "state": (2, 4, 128)}
    assert batch_of(both, fed) == 4


def test_the_batch_that_runs() -> None:
    def batch(*sizes: tuple[int | str, ...]) -> int:
        known = [described(f"x{i}", "float32", each) for i, each in enumerate(sizes)]
        return batch_of(known, shapes(known))

    assert batch((8, 3, 32, 32)) == 8
    assert batch((224, 224, 3)) == 1
    assert batch((128, 1, 64)) == 1
    assert batch((8, 3, 32, 32), (1, 2)) == 8
    assert batch((16,)) == 1


TWO = (described("x", "float32", (1, 3, "H", 8)), described("y", "int64", ("n",)))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"asked": {"": (1, 3, 4, 8)}}, "there are 2 inputs .*say which"),
        ({"asked": {"z": (1,)}}, 'no input is called "z"'),
        ({"asked": {"x": (1, 3, 8)}}, 'input "x" takes 1x3xHx8, not 1x3x8'),
        ({"asked": {"x": (1, 3, 4, 9)}}, "not 1x3x4x9; open sizes alone"),
        ({"dimensions": {"h": 4}}, 'no open dimension "h"; did you mean "H"'),
        ({}, r'input "x" \(1x3xHx8\) leaves dimension 2 \("H"\) open.*--input-shape x=1x3x224x8.*--dimension H=224'),
        ({"asked": {"x": (1, 3, 4, 8)}, "batch_size": 2, "dimensions": {"n": 3}}, "the batch is 3; batch_size 2"),
    ],
)
def test_sizes_that_do_not_fit_are_named(given: dict, says: str) -> None:
    with pytest.raises(WrongUsage, match=says):
        shapes(TWO, **given)


def test_a_batch_that_nothing_can_have_is_refused() -> None:
    with pytest.raises(WrongUsage, match="no input has a batch axis"):
        shapes([described("x", "uint8", (224, 224, 3))], batch_size=8)
    with pytest.raises(WrongUsage, match="the batch is 8; batch_size 2"):
        shapes([described("x", "float32", (8, 3, 32, 32))], batch_size=2)


def test_a_graph_without_inputs_takes_no_shape() -> None:
    assert shapes([]) == {}
    with pytest.raises(WrongUsage, match="no input that could be given a shape"):
        shapes([], asked={"": (1,)})


def test_an_input_that_is_no_tensor_or_has_no_shape() -> None:
    with pytest.raises(WrongUsage, match="is a sequence;"):
        shapes([described("x", "sequence", None)])
    with pytest.raises(WrongUsage, match="is an optional;"):
        shapes([described("x", "optional", None)])
    with pytest.raises(WrongUsage, match="has no shape in the file; give it one, --input-shape x="):
        shapes([described("x", "float32", None)])
    assert shapes([described("x", "float32", None)], asked={"x": (2, 2)}) == {"x": (2, 2)}

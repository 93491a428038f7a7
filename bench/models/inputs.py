"""What a model takes: each input's name, type and axes, and the sizes with which it is run.

One description for all that feed a file or speak of its inputs: counting, timing, accuracy, `ab`, messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from bench.errors import WrongUsage, suggestion

Shape = tuple[int, ...]

BATCH, HEIGHT, WIDTH, CHANNELS, OTHER = "batch", "height", "width", "channels", "other"
LAYOUTS = {
    "NCHW": (BATCH, CHANNELS, HEIGHT, WIDTH),
    "NHWC": (BATCH, HEIGHT, WIDTH, CHANNELS),
    "CHW": (CHANNELS, HEIGHT, WIDTH),
    "HWC": (HEIGHT, WIDTH, CHANNELS),
}
NO_TENSORS = ("sequence", "map", "optional", "sparse tensor")  # what may stand in place of a type
EMPTY = (
    "a size of 0 stands for an open one, but ONNX Runtime feeds nothing else than 0; give that axis a name or -1, "
    "e.g. with onnx.tools.update_model_dims"
)
_COLOURS = (3, 1, 4)  # channels of an image: colour, grey, colour with transparency
_NO_BATCH = "seq|len|time|frame|token|step"  # in the name of a first axis along which one input goes on
_LEAST_SIDE = 5  # pixels; below, a size may be channels as well
_EXAMPLE = 224


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One axis of an input."""

    role: str  # "batch", "height", "width", "channels" or "other"
    size: int | None  # None: open
    name: str = ""  # as the file calls an open axis; "" for nothing
    is_zero: bool = False  # open, and written as a size of 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One input of a model."""

    name: str
    dtype: str  # as NumPy calls it, e.g. "float32"
    axes: tuple[Axis, ...] | None  # None: the file does not say even how many there are
    layout: str | None = None  # a key of LAYOUTS, where it takes an image and the sizes tell

    def __str__(self) -> str:
        """As people write it, e.g. `x float32 ?x3x64x64`."""
        return f"{self.name} {self.dtype} {self.shown}"

    @property
    def shown(self) -> str:
        """Its shape, with the names of open axes, or "?"."""
        if self.axes is None:
            return "of any shape"
        return "x".join(str(axis.size or axis.name or "?") for axis in self.axes) or "scalar"

    @property
    def batch(self) -> int | None:
        """The place of the batch axis, or None."""
        roles = [axis.role for axis in self.axes or ()]
        return roles.index(BATCH) if BATCH in roles else None


def described(name: str, dtype: str, sizes: Sequence[int | str] | None) -> Input:
    """An input from what a file says of it: a positive size, or the name of an open axis, for each axis.

    A size of 0 or below is open, as exporters write it.
    """
    if sizes is None:
        return Input(name=name, dtype=dtype, axes=None)
    known = [size if isinstance(size, int) and size > 0 else None for size in sizes]
    names = ["" if isinstance(size, int) else size for size in sizes]
    layout = _layout(known, names)
    roles = LAYOUTS.get(layout or "") or _roles(known, names)
    axes = tuple(
        Axis(role=r, size=s, name=n, is_zero=said == 0)
        for r, s, n, said in zip(roles, known, names, sizes, strict=True)
    )
    return Input(name=name, dtype=dtype, axes=axes, layout=layout)


def _layout(sizes: Sequence[int | None], names: Sequence[str]) -> str | None:
    """The layout of an image, where the sizes tell: the axis with 3 channels, else 1 or 4, else by its neighbours."""
    if len(sizes) not in (3, 4):
        return None
    first, last = len(sizes) - 3, len(sizes) - 1
    for colours in _COLOURS:
        fitting = [axis for axis in (first, last) if sizes[axis] == colours and _are_sides(sizes, axis, first)]
        if fitting and (len(sizes) == 4 or sizes[0] not in (None, 1)):  # one before two others may be a batch as well
            return {(4, 1): "NCHW", (4, 3): "NHWC", (3, 0): "CHW", (3, 2): "HWC"}[len(sizes), fitting[0]]
    if len(sizes) == 3:
        return None
    after, before = (sizes[2], sizes[3]), (sizes[1], sizes[2])
    if sizes[1] and (after == (None, None) or (after[0] == after[1] != sizes[1])):
        return "NCHW"
    if sizes[3] and (before == (None, None) or (before[0] == before[1] != sizes[3])):
        return "NHWC"
    sides = [i for i, name in enumerate(names) if re.fullmatch(r"(?i)h|w|.*(height|width).*", name)]
    return "NCHW" if sides == [2, 3] else "NHWC" if sides == [1, 2] else None


def _are_sides(sizes: Sequence[int | None], channels: int, first: int) -> bool:
    """Whether what lies beside the channels can be height and width."""
    beside = [size for axis, size in enumerate(sizes) if axis >= first and axis != channels]
    return len(sizes) == 4 or all(size is None or size >= _LEAST_SIDE for size in beside)


def _roles(sizes: Sequence[int | None], names: Sequence[str]) -> tuple[str, ...]:
    """The roles of what is no image. A fixed first axis of three is a step of a sequence, not one of a batch."""
    roles = [OTHER] * len(sizes)
    named = [place for place, name in enumerate(names) if "batch" in name.lower()]
    first = sizes[:1] in ([None], [1]) or len(sizes) in (2, 4, 5)
    if named or (sizes and first and not re.search(_NO_BATCH, names[0].lower())):
        roles[named[0] if named else 0] = BATCH
    return tuple(roles)


def shapes(
    inputs: Iterable[Input],
    *,
    asked: Mapping[str, Sequence[int]] | None = None,
    dimensions: Mapping[str, int] | None = None,
    batch_size: int = 1,
) -> dict[str, Shape]:
    """The shape with which each input is fed, by its name, the batch included.

    Args:
        inputs: all that the model takes.
        asked: whole shapes by the input's name; "" where there is one input.
        dimensions: sizes of open axes by the file's name for them, or by their role where it has none.
        batch_size: of open batch axes that nothing else settles.

    Raises WrongUsage, naming the input and what to give, for what does not fit and for an axis that is left open.
    """
    everything = list(inputs)
    wanted = _by_input(everything, asked or {})
    sizes = dict(dimensions or {})
    batches = {_batch_key(each) for each in everything} - {""}
    _check_batch([each for each in everything if each.name not in wanted], batch_size, sizes)
    known = open_names(everything)
    for name in sizes:
        if name not in known:
            hint = suggestion(name, known) or f"the inputs are {_listed(everything)}"
            raise WrongUsage(f'the graph has no open dimension "{name}"; {hint}')
    sizes = {
        name: batch_size for name in batches if len(name) > 1
    } | sizes  # an axis of another input may bear the name
    return {each.name: wanted.get(each.name) or _filled(each, sizes, batch_size) for each in everything}


def open_names(inputs: Iterable[Input]) -> set[str]:
    """By what names sizes can be given to their open axes."""
    return {_key(axis) for each in inputs for axis in each.axes or ()} - {""}


def batch_of(inputs: Iterable[Input], fed: Mapping[str, Shape]) -> int:
    """The batch that runs: what the batch axes agree on, else the largest input's; 1 where no input has one."""
    batches = {each.name: fed[each.name][each.batch] for each in inputs if each.batch is not None}
    if len(set(batches.values())) <= 1:
        return next(iter(batches.values()), 1)
    return batches[max(batches, key=lambda name: prod(fed[name]))]


def _by_input(inputs: Sequence[Input], asked: Mapping[str, Sequence[int]]) -> dict[str, Shape]:
    """The shapes asked for by the inputs' names, each held against what the file fixes."""
    names = {each.name: each for each in inputs}
    shapes: dict[str, Shape] = {}
    for name, shape in asked.items():
        if not inputs:
            raise WrongUsage("the graph has no input that could be given a shape")
        if name == "" and len(inputs) != 1:
            raise WrongUsage(f"there are {len(inputs)} inputs ({_listed(inputs)}); say which: {_example(inputs[:1])}")
        each = inputs[0] if name == "" else names.get(name)
        if each is None:
            raise WrongUsage(f'no input is called "{name}"; {suggestion(name, names) or _listed(inputs)}')
        fits = each.axes is None or (
            len(each.axes) == len(shape) and all(a.size in (None, s) for a, s in zip(each.axes, shape, strict=True))
        )
        if not fits:
            raise WrongUsage(
                f'input "{each.name}" takes {each.shown}, not {"x".join(map(str, shape))}; '
                "open sizes alone can be chosen"
            )
        shapes[each.name] = tuple(shape)
    return shapes


def _check_batch(inputs: Sequence[Input], batch_size: int, sizes: Mapping[str, int]) -> None:
    """Refuse a batch size that no input can have."""
    if batch_size == 1 or not inputs:
        return
    batches = {each: each.axes[each.batch] for each in inputs if each.axes and each.batch is not None}
    if not batches:
        raise WrongUsage(f"no input has a batch axis, so that batch_size {batch_size} does not fit: {_listed(inputs)}")
    for each, axis in batches.items():
        fixed = axis.size or sizes.get(_batch_key(each), batch_size)
        if fixed != batch_size:
            raise WrongUsage(f"the batch is {fixed}; batch_size {batch_size} does not fit; leave it out")


def _key(axis: Axis) -> str:
    """By what a size is given to an axis: the file's name, or its role; "" where neither tells it apart, or fixed."""
    if axis.size is not None:
        return ""
    return axis.name or ("" if axis.role == OTHER else axis.role)


def _batch_key(each: Input) -> str:
    """As `_key` of the batch axis; "" for a name such as "?" that says nothing, as other axes bear it, too."""
    if each.axes is None or each.batch is None:
        return ""
    key = _key(each.axes[each.batch])
    shared = any(_key(axis) == key for axis in each.axes if axis.role != BATCH)
    return "" if shared or not re.search(r"\w", key) else key


def _filled(each: Input, sizes: Mapping[str, int], batch_size: int) -> Shape:
    if each.dtype in NO_TENSORS:
        article = "an" if each.dtype == "optional" else "a"
        raise WrongUsage(f'input "{each.name}" is {article} {each.dtype}; only models that take tensors can be fed')
    if each.axes is None:
        raise WrongUsage(f'input "{each.name}" has no shape in the file; give it one, {_example([each])}')
    found: list[int] = []
    keys = [_batch_key(each) if axis.role == BATCH else _key(axis) for axis in each.axes]
    for place, (axis, key) in enumerate(zip(each.axes, keys, strict=True)):
        size = axis.size or sizes.get(key) or (batch_size if axis.role == BATCH else None)
        if size is None:
            called = f' ("{axis.name}")' if axis.name else ""
            by_name = f", or --dimension {key}={_EXAMPLE}" if key else ""
            raise WrongUsage(
                f'input "{each.name}" ({each.shown}) leaves dimension {place}{called} open; give it a size, e.g. '
                f"{_example([each])}{by_name}"
            )
        found.append(size)
    return tuple(found)


def _example(inputs: Sequence[Input]) -> str:
    """How a shape is given, on the command line and in a suite."""
    each = inputs[0]
    sides = {CHANNELS: 3, BATCH: 1}
    sizes = (
        [1, 3, _EXAMPLE, _EXAMPLE] if each.axes is None else [a.size or sides.get(a.role, _EXAMPLE) for a in each.axes]
    )
    shape = "x".join(map(str, sizes))
    return f'--input-shape {each.name}={shape} (in a suite: input_shape = {{"{each.name}" = "{shape}"}})'


def _listed(inputs: Sequence[Input]) -> str:
    return "; ".join(map(str, inputs)) or "none"

"""Commands that count: a model's arithmetic, and one layer's with its working shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from bench.cli.root import (
    Shapes,
    Sizes,
    alpha_option,
    as_json_option,
    cli,
    dimension_option,
    input_shape_option,
    one_case,
    size_option,
    sort_options,
    table,
)  # fmt: skip

if TYPE_CHECKING:
    from bench.cost.working import Layer

_KINDS = {
    "conv": "a standard convolution",
    "depthwise": "a depthwise convolution",
    "pointwise": "a 1x1 convolution",
    "separable": "a depthwise separable convolution, beside the standard one",
    "dense": "a dense layer",
}


class _Costs(click.Group):
    """Layers by their kind; every other word is a model or a file."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = args[0] in self.commands
        return super().resolve_command(ctx, args if known else ["model", *args])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options of a model may stand before its name: `bench cost --per-layer MobileNet`."""
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = ["model", *args]
        return super().parse_args(ctx, args)


@cli.group(cls=_Costs, subcommand_metavar="MODEL|FILE|KIND [OPTIONS]")
def cost() -> None:
    """Count mult-adds, parameters and memory: of a model or file, or of one layer with the working shown.

    \b
    bench cost MobileNet --alpha 0.5 --per-layer
    bench cost ours.onnx
    bench cost separable --input 128x128x4 --kernel 3 --filters 10

    `bench cost model --help` shows the options for a model or file.
    """


@cost.command(hidden=True)
@click.argument("model")
@alpha_option
@size_option
@input_shape_option
@dimension_option
@click.option("--per-layer", is_flag=True, help="A row a layer.")
@sort_options("mult-adds", "params", "activation")
@as_json_option
def model(
    model: str,
    alpha: float | None,
    input_size: int | None,
    input_shapes: Shapes,
    dimensions: Sizes,
    per_layer: bool,
    sort: str | None,
    top: int | None,
    as_json: bool,
) -> None:
    """Count mult-adds, parameters and memory of MODEL or FILE.onnx. `--sort` and `--top` are for `--per-layer`."""
    from bench import cost, export, store
    from bench.units import bound, megabytes, millions, quantity

    (case,) = export.sized([one_case(model, alpha, input_size)], dict(input_shapes), dict(dimensions))
    total, layers = cost.of_case(case)
    per_layer = per_layer or bool(sort or top)
    if sort:
        field = {"mult-adds": "mult_adds", "params": "params", "activation": "activation_bytes"}[sort]
        layers = sorted(layers, key=lambda layer: -(getattr(layer, field) or 0))
    layers = layers[:top]
    if as_json:
        click.echo(
            store.json_text({"case": store.asked(case), "cost": total} | ({"layers": layers} if per_layer else {}))
        )
        return
    if per_layer:
        table(
            ("layer", "kind", "output", "mult-adds", "share", "params", "activation"),
            [
                (
                    r.name,
                    r.kind,
                    "x".join(map(str, r.output_shape or ())),
                    "not counted" if r.mult_adds is None else f"{r.mult_adds:,}",
                    "" if r.mult_adds is None else f"{100 * r.mult_adds / max(total.mult_adds, 1):.1f} %",
                    f"{r.params:,}",
                    megabytes(r.activation_bytes),
                )
                for r in layers
            ],
        )
    share = {kind: part.mult_adds / max(total.mult_adds, 1) for kind, part in (total.by_kind or {}).items()}
    table(
        ("kind", "layers", "mult-adds", "share", "params"),
        [
            (kind, str(part.layers), millions(part.mult_adds), f"{100 * share[kind]:.1f} %", millions(part.params))
            for kind, part in (total.by_kind or {}).items()
        ],
    )
    mult_adds, operations = (
        bound(text, is_lower=total.is_lower_bound)
        for text in (f"{total.mult_adds:,}", quantity(2 * total.mult_adds, "operations"))
    )
    click.echo(f"{case.name}: {mult_adds} mult-adds ({operations}), {total.params:,} parameters")
    if total.peak_activation_bytes:
        click.echo(f"peak activation memory of a straight-line execution: {megabytes(total.peak_activation_bytes)}")
    for operator in total.uncounted:
        click.echo(f"not counted: {operator}", err=True)
    for warning in total.warnings:
        click.echo(f"note: {warning}", err=True)


class _Size(click.ParamType[tuple[int, int, int]]):
    """HEIGHTxWIDTHxCHANNELS, or a number of units for a dense layer."""

    name = "HxWxC"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        sides = [int(part) for part in re.split("[x×]", value)] if re.fullmatch(r"\d+([x×]\d+)*", value) else []
        if len(sides) == 1:
            sides = [1, 1, *sides]
        if len(sides) != 3 or min(sides) < 1:
            self.fail(f"{value} is not HEIGHTxWIDTHxCHANNELS, e.g. 128x128x4", param, ctx)
        return sides[0], sides[1], sides[2]


def _layer_command(kind: str, says: str) -> None:
    """`bench cost KIND`, with the options that the kind has: another is refused."""
    positive = click.IntRange(min=1)
    options = [
        click.option("--input", "size", type=_Size(), required=True, help="Of the input, e.g. 128x128x4."),
        click.option("--rho", type=click.FloatRange(0, min_open=True), default=1.0, help="Resolution multiplier."),
        click.option("--alpha", type=click.FloatRange(0, min_open=True), default=1.0, help="Width multiplier."),
        click.option("--padding", type=click.Choice(["same", "valid"]), default="same", show_default=True),
        click.option("--stride", type=positive, default=1, show_default=True),
        click.option("--kernel", type=positive, required=True, metavar="D_K", help="Side of the kernel in pixels."),
        click.option("--filters", type=positive, required=True, metavar="N", help="Channels out, or units."),
        click.option("--bias", is_flag=True, help="One more parameter for each channel out."),
    ]
    without = {
        "depthwise": {"filters"}, "pointwise": {"kernel", "padding"}, "separable": {"bias"},
        "dense": {"rho", "alpha", "padding", "stride", "kernel"},
    }.get(kind, set())  # fmt: skip

    @as_json_option
    def layer(as_json: bool, size: tuple[int, int, int], **given: Any) -> None:
        from bench.cost import working

        height, width, channels = size
        _show_layer(kind, working.Layer(height=height, width=width, channels=channels, **given), as_json)

    for option in options:
        named: Any = option(lambda: None)
        if named.__click_params__[0].name not in without:
            layer = option(layer)
    cost.command(kind, help=f"Count {says}, by the formulas of the MobileNet paper, with the working shown.")(layer)


for _kind, _says in _KINDS.items():
    _layer_command(_kind, _says)


def _show_layer(kind: str, layer: Layer, as_json: bool) -> None:
    from bench import store
    from bench.cost import working
    from bench.units import significant

    done = working.work(kind, layer)
    if as_json:
        click.echo(store.json_text({"layer": layer, "working": done, "cost": done.total}))
        return
    steps = [*done.steps, *([done.standard] if done.standard else [])]
    table(
        ("step", "formula", "numbers", "mult-adds", "params"),
        [(s.name, s.formula, s.numbers, f"{s.count.mult_adds:,}", f"{s.count.params:,}") for s in steps],
    )
    total = " + ".join(f"{step.count.mult_adds:,}" for step in done.steps)
    sum_of = f"{total} = " if len(done.steps) > 1 else ""
    click.echo(f"{kind}: {sum_of}{done.total.mult_adds:,} mult-adds, {done.total.params:,} parameters")
    if done.share is not None and done.standard is not None:
        n = done.output[-1]
        click.echo(
            f"as a share of the standard convolution's {done.standard.count.mult_adds:,}: "
            f"1/N + 1/D_K² = 1/{n} + 1/{layer.kernel}² = {significant(done.share)}, "
            f"{significant(1 / done.share)} times fewer"
        )
    click.echo(f"output: {'x'.join(map(str, done.output))}")

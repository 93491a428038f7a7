"""The cost of cases: what is asked of the process that counts, what is kept, and what an error hides."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import platformdirs
import pytest

from bench import cost
from bench.cost import cases as counting
from bench.cost import packaged
from bench.cost.layers import LayerCost
from bench.errors import Failed, WrongUsage
from bench.processes import process
from bench.records import Case, Cost
from tests.cost.test_onnx import conv

LAYER = LayerCost(name="conv", kind="standard", operator="Conv", mult_adds=1000, params=10, output_shape=(2, 2, 4))


class Counter:
    """Made up: it answers every case with one layer, but for those of a name that says otherwise."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.started: list[tuple[Any, dict[str, Any]]] = []

    @contextmanager
    def start(self, *arguments: Any, **how: Any) -> Iterator[Counter]:
        self.started.append((*arguments, how))
        yield self

    def ask(self, case: Case) -> Any:
        self.asked.append(case.name)
        if "kills" in case.name:
            raise Failed("it was killed")
        if "wrong" in case.name:
            return {"error": "WrongUsage", "message": "so it cannot be"}
        return msgspec.to_builtins(counting.Answer(layers=(LAYER,), warnings=("odd",)))


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counter:
    made = Counter()
    monkeypatch.setattr(process, "started", made.start)
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    return made


def case(name: str, **changes: Any) -> Case:
    """A network that no suite names, so that its cost comes not with the package; of each name another."""
    return Case(
        name=name, model="MobileNet", arguments={"alpha": 0.33, "name": name}, input_shape=(64, 64, 3), **changes
    )


def test_one_process_counts_all_and_each_is_asked_once(counter: Counter) -> None:
    found = cost.of_cases([case("a"), case("b"), case("c")])
    assert list(found) == ["a", "b", "c"]
    for each in found.values():
        assert isinstance(each, Cost)
        assert (each.mult_adds, each.params, each.warnings) == (1000, 10, ("odd",))
    assert counter.asked == ["a", "b", "c"]
    (started,) = counter.started
    assert started == ("bench.cost.counter", {"what": "the process that counts", "keras": True})
    assert cost.of_cases([case("a"), case("b"), case("c")]) == found
    assert counter.asked == ["a", "b", "c"], "kept"


def test_a_case_that_ends_the_process_hides_no_other(counter: Counter) -> None:
    found = cost.of_cases([case("a"), case("kills"), case("wrong"), case("b")])
    assert [type(each) for each in found.values()] == [Cost, Failed, WrongUsage, Cost]
    assert str(found["kills"]) == "kills: it was killed"
    assert str(found["wrong"]) == "wrong: so it cannot be"
    assert (counter.asked, len(counter.started)) == (["a", "kills", "wrong", "b"], 2)
    cost.of_cases([case("a"), case("kills"), case("wrong"), case("b")])
    assert counter.asked[4:] == ["kills", "wrong"], "errors are not kept"


def test_the_cost_of_one(counter: Counter) -> None:
    found, layers = cost.of_case(case("a"))
    assert (found.mult_adds, layers) == (1000, [LAYER])
    for name, kind, says in (("kills", Failed, "kills: it was killed"), ("wrong", WrongUsage, "so it cannot be")):
        with pytest.raises(kind, match=says):
            cost.of_case(case(name))


def test_counting_now_asks_whatever_is_kept_and_stops_at_an_error(counter: Counter) -> None:
    cost.of_case(case("a"))
    pairs = counting.counted_costs([case("a"), case("wrong"), case("b")])
    first, found = next(pairs)
    assert (first, found.mult_adds, found.warnings) == (case("a"), 1000, ("odd",))
    assert counter.asked == ["a", "a", "wrong", "b"]
    with pytest.raises(WrongUsage, match=r"^wrong: so it cannot be$"):
        next(pairs)


def test_what_comes_with_the_package_is_not_counted(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Cost(mult_adds=7, params=1)
    monkeypatch.setattr(packaged, "of_case", lambda asked: known if asked.name == "known" else None)
    found = cost.of_cases([case("known"), case("a")])
    assert list(found) == ["known", "a"]
    assert (found["known"], counter.asked) == (known, ["a"])
    assert cost.of_cases([]) == {}


def test_equal_networks_are_counted_once(counter: Counter) -> None:
    found = cost.of_cases([case("a"), replace(case("a"), name="b", threads=7, precision="int8", batch_size=9)])
    assert len(counter.asked) == 1
    assert list(found) == ["a", "b"]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "MobileNetV2"}, {"arguments": {}}, {"input_shape": (32, 32, 3)}, {"head": "none"}, {"classes": 7},
    ],
)  # fmt: skip
def test_other_networks_are_counted_apart(counter: Counter, change: dict[str, Any]) -> None:
    cost.of_cases([case("a"), replace(case("a"), name="b", **change)])
    assert counter.asked == ["a", "b"]


def test_another_version_of_keras_or_of_the_counting_source_is_counted_again(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_version", lambda asked: "9")
    cost.of_case(case("a"))
    for name in ("keras", "tensorflow"):
        with monkeypatch.context() as patch:
            patch.setattr(counting, "_version", lambda asked, name=name: "0.1" if asked == name else "9")
            cost.of_case(case("a"))
    monkeypatch.setattr(counting, "_own", lambda: "other")
    cost.of_case(case("a"))
    assert counter.asked == ["a"] * 4


def test_the_version_of_what_is_not_installed_is_none() -> None:
    assert counting._version("msgspec") == msgspec.__version__
    assert counting._version("no-such-distribution") is None


def test_a_file_is_known_by_its_content_and_what_it_is_fed(counter: Counter, tmp_path: Path) -> None:
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    one.write_bytes(b"same")
    other.write_bytes(b"same")
    base = Case(name="one", model=str(one), input_shape=None)
    cost.of_case(base)
    cost.of_case(replace(base, name="other", model=str(other)))
    assert counter.asked == ["one"]
    for number, change in enumerate(({"dimensions": {"n": 2}}, {"input_shapes": {"x": (1, 2)}}, {"batch_size": 3})):
        cost.of_case(replace(base, name=f"{number}", **change))
    other.write_bytes(b"another")
    cost.of_case(replace(base, name="changed", model=str(other)))
    assert counter.asked == ["one", "0", "1", "2", "changed"]
    missing = replace(base, model=str(tmp_path / "missing.onnx"))
    with pytest.raises(WrongUsage) as raised:
        cost.of_case(missing)
    assert str(raised.value) == (
        f"one: {tmp_path / 'missing.onnx'} cannot be read (No such file or directory); check the path"
    )
    two = cost.of_cases([replace(missing, name="x"), replace(missing, name="y", model=str(tmp_path / "gone.onnx"))])
    assert ["missing" in str(two["x"]), "gone" in str(two["y"])] == [True, True], "each has its own error"


def test_a_builder_of_ones_own_is_counted_every_time(counter: Counter) -> None:
    own = replace(case("own"), model="tests.cost.nets:anything")
    cost.of_case(own)
    cost.of_case(own)
    assert counter.asked == ["own", "own"]


def test_answers_lie_whole_in_the_cache(counter: Counter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cost.of_case(case("a"))
    (kept,) = (tmp_path / "cache" / "cost").iterdir()
    assert kept.name == f"{counting._key(case('a'))}.json"
    assert msgspec.json.decode(kept.read_bytes(), type=counting.Answer).layers == (LAYER,)
    kept.write_bytes(b"{")
    cost.of_case(case("a"))
    assert counter.asked == ["a", "a"], "a damaged one is counted again"
    cost.of_case(case("a"))
    assert counter.asked == ["a", "a"], "and mended"
    monkeypatch.delenv("BACKBENCH_CACHE")
    assert counting._file("k") == platformdirs.user_cache_path("backbench") / "cost" / "k.json"


def test_a_cache_that_cannot_be_written_costs_time_only(
    counter: Counter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "file"))
    assert cost.of_case(case("a"))[0].mult_adds == 1000
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))

    def refused(self: Path, target: Path) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Path, "replace", refused)
    assert cost.of_case(case("b"))[0].mult_adds == 1000
    assert list((tmp_path / "cache" / "cost").iterdir()) == [], f"no scratch file of {os.getpid()}"


def test_counting_a_file_in_this_process(tmp_path: Path) -> None:
    import onnx

    onnx.save(conv(4, 8, size="side"), tmp_path / "net.onnx")
    asked = Case(name="net", model=str(tmp_path / "net.onnx"), input_shape=None, dimensions={"side": 8})
    found = counting.answer(asked)
    assert (found.error, [layer.output_shape for layer in found.layers]) == (None, [(4, 8, 8), (8, 8, 8)])
    fed = counting.answer(replace(asked, dimensions={}, input_shapes={"x": (1, 4, 32, 32)}))
    assert fed.layers[-1].output_shape == (32, 32, 8)
    open_size = counting.answer(replace(asked, dimensions={}))
    assert (open_size.error, open_size.layers) == ("WrongUsage", ())
    assert '"side"' in open_size.message


def test_whatever_a_library_raises_concerns_its_case_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.cost import onnx_graph

    def raises(error: Exception) -> counting.Answer:
        def count(*_: object) -> None:
            raise error

        monkeypatch.setattr(onnx_graph, "count", count)
        return counting.answer(Case(name="net", model="net.onnx", input_shape=None))

    found = raises(ValueError("a line\n  and another " + 500 * "x"))
    assert found.error == "Failed"
    assert found.message == "ValueError: a line and another " + (400 - len("a line and another ")) * "x"
    lacking = raises(ImportError("no onnx"))
    assert (lacking.error, lacking.message) == (
        "Failed", 'counting needs more (no onnx); pip install "backbench[cpu]"',
    )  # fmt: skip


def module(monkeypatch: pytest.MonkeyPatch, name: str, **contents: Any) -> None:
    """A module in the place of one that takes seconds to import."""
    made = SimpleNamespace(**contents)
    monkeypatch.setitem(sys.modules, name, made)
    package, _, last = name.rpartition(".")
    if package:
        monkeypatch.setattr(importlib.import_module(package), last, made, raising=False)


def test_each_kind_of_model_is_counted_by_its_own_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    counted = SimpleNamespace(layers=[LAYER], warnings=("odd",))
    module(monkeypatch, "bench.cost.onnx_graph", count=lambda *given: asked.append(given) or counted)
    module(monkeypatch, "bench.cost.tflite_graph", layers=lambda *given: asked.append(given) or [LAYER])
    onnx_case = Case(name="a", model="a.onnx", dimensions={"n": 2}, input_shapes={"x": (1, 2)}, batch_size=3)
    assert counting.answer(onnx_case) == counting.Answer(layers=(LAYER,), warnings=("odd",))
    assert counting.answer(Case(name="b", model="b.tflite")) == counting.Answer(layers=(LAYER,))
    assert asked == [("a.onnx", {"n": 2}, {"x": (1, 2)}, 3), ("b.tflite",)]


def test_a_backbone_is_built_without_its_weights_values(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    @contextmanager
    def scope(**how: Any) -> Iterator[None]:
        asked.append(how)
        yield

    def build(*given: Any, **more: Any) -> str:
        asked.append((given, more))
        return "the model"

    module(monkeypatch, "keras", StatelessScope=scope)
    module(monkeypatch, "bench.models.building", fresh=lambda: asked.append("fresh"))
    module(monkeypatch, "bench.cost.keras_graph", layers=lambda *given: asked.append(given) or [LAYER])
    monkeypatch.setattr("bench.models.build", build)
    one = case("a", head="none", classes=7)
    assert counting.answer(one) == counting.Answer(layers=(LAYER,))
    assert asked == [
        "fresh", {"initialize_variables": False},
        (("MobileNet",), {"arguments": one.arguments, "input_shape": (64, 64, 3), "head": "none", "classes": 7}),
        ("the model", (64, 64, 3), "MobileNet"),
    ]  # fmt: skip
    counting.answer(replace(one, model="mine.keras"))
    assert asked[5] == {"initialize_variables": True}


@pytest.mark.parametrize(
    ("model", "where", "extra"),
    [("a.onnx", "bench.cost.onnx_graph.count", "cpu"), ("b.tflite", "bench.cost.tflite_graph.layers", "litert"),
     ("MobileNet", "bench.models.build", "export")],
)  # fmt: skip
def test_what_stops_the_counting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, model: str, where: str, extra: str
) -> None:
    module(monkeypatch, "keras", StatelessScope=lambda **how: nullcontext())
    module(monkeypatch, "bench.models.building", fresh=lambda: None)
    for name in ("keras_graph", "onnx_graph", "tflite_graph"):
        module(monkeypatch, f"bench.cost.{name}", layers=None, count=None)
    for error, expected in (
        (WrongUsage("not so"), ("WrongUsage", "not so")),
        (
            ImportError("No module x"),
            ("Failed", f'counting needs more (No module x); pip install "backbench[{extra}]"'),
        ),
        (KeyError("a\n b"), ("Failed", "KeyError: 'a\\n b'")),
        (ValueError("a\n  b" + "c" * 400), ("Failed", "ValueError: a b" + "c" * 397)),
    ):
        with monkeypatch.context() as patch:

            def fails(*given: Any, error: Exception = error, **more: Any) -> None:
                raise error

            patch.setattr(where, fails)
            found = counting.answer(Case(name="a", model=model))
            assert found == counting.Answer(error=expected[0], message=expected[1])


def test_the_order_of_arguments_makes_no_other_network(counter: Counter) -> None:
    one = case("a")
    cost.of_cases([one, replace(one, name="b", arguments=dict(reversed(one.arguments.items())))])
    assert len(counter.asked) == 1
    assert [found.error for found in counting.counted([case("a"), case("kills")])] == [None, "Failed"]

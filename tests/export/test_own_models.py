"""Models as Keras's guides build them: files, builders, augmentation, half precision, odd inputs; what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from bench import export, suites
from bench.errors import BenchError
from bench.export import cache
from bench.records import Case
from tests.export import test_quantise

pytestmark = [pytest.mark.slow, test_quantise.needs_keras]
NETS = "tests.export.own_nets:"
PROJECT = """
import keras
from parts import head
def small_net(input_shape=(32, 32, 3), classes=10):
    image = keras.Input(input_shape)
    return keras.Model(image, head(keras.layers.Conv2D(4, 3)(image), classes))
"""
PARTS = """
import keras
def head(x, classes):
    return keras.layers.Dense(classes)(keras.layers.GlobalAveragePooling2D()(x))
"""


READER = """
import keras
def net():
    classes = len(open("names.txt").read().split())
    base = keras.saving.load_model("read.h5", compile=False).layers[1]
    keras.saving.load_model("logits.keras", compile=False)
    pooled = keras.layers.GlobalAveragePooling2D()(base.output)
    return keras.Model(base.inputs, keras.layers.Dense(classes)(pooled))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory of this module, with every file of own_nets and a project of one's own."""
    from tests.export import own_nets

    place = tmp_path_factory.mktemp("own")
    own_nets.save(place)
    (place / "alone.weights.h5").write_bytes(b"")
    (place / "project").mkdir()
    (place / "project" / "__init__.py").write_text("")
    (place / "project" / "nets.py").write_text(PROJECT.replace("from parts", "from project.parts"))
    (place / "project" / "parts.py").write_text(PARTS)
    (place / "project" / "script.py").write_text("import sys\nsys.exit(2)\n")
    (place / "lonely.py").write_text(PROJECT)
    (place / "parts.py").write_text(PARTS)
    (place / "onnxruntime.py").write_text("raise SystemExit('a file of the user shadows an installed module')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(place)
        patch.setattr(sys, "path", [*sys.path])
        yield place


EXPORTED: dict[str, tuple[tuple[int, ...] | None, int, tuple[str, list[int | str], str]]] = {
    # model: input shape asked for, mult-adds counted by hand, (input's type, its shape, name of the output)
    "augmented.keras": (None, 19 * 14 * 27 * 6 + 42, ("tensor(float)", [40, 30, 3], "probabilities")),
    "cropped.keras": (None, 15 * 15 * 27 * 6 + 42, ("tensor(float)", [50, 60, 3], "probabilities")),
    "logits.keras": (None, 24 * 24 * 8 * (27 + 9 + 16) + 64, ("tensor(float)", [48, 48, 3], "logits")),
    "sigmoid.keras": (None, 24 * 24 * 8 * (27 + 9 + 16) + 16, ("tensor(float)", [48, 48, 3], "logits")),
    "layer_softmax.keras": (None, 24 * 24 * 8 * (27 + 9 + 16) + 64, ("tensor(float)", [48, 48, 3], "probabilities")),
    "legacy.h5": (None, 24 * 24 * 8 * (27 + 9 + 16) + 64, ("tensor(float)", [48, 48, 3], "probabilities")),
    "float16.keras": (None, 22 * 22 * 27 * 8 + 40, ("tensor(float)", [24, 24, 3], "probabilities")),
    "bfloat16.keras": (None, 22 * 22 * 27 * 8 + 40, ("tensor(float)", [24, 24, 3], "probabilities")),
    "open.keras": ((36, 20, 3), 18 * 10 * 27 * 4 + 20, ("tensor(float)", [36, 20, 3], "logits")),
    "rows.keras": (None, 480 * 8, ("tensor(float)", [20, 24], "logits")),
    "flat.keras": (None, 60 * 9 + 72, ("tensor(float)", [60], "logits")),
    "video.keras": (None, 3 * 10 * 10 * 81 * 4 + 12, ("tensor(float)", [5, 12, 12, 3], "logits")),
    f"{NETS}pixels": (None, 9 * 9 * 27 * 6 + 42, ("tensor(uint8)", [20, 20, 3], "probabilities")),
    f"{NETS}rows_mean": (None, 30 * 12 * 6 + 3, ("tensor(float)", [9, 10, 4], "logits")),
    f"{NETS}unbuilt": ((20, 24, 3), 18 * 22 * 27 * 4 + 24, ("tensor(float)", [20, 24, 3], "logits")),
    f"{NETS}subclassed": (
        (16, 16, 3), 14 * 14 * 27 * 4 + 12 * 12 * 36 * 4 + 24 + 36, ("tensor(float)", [16, 16, 3], "logits"),
    ),
    f"{NETS}whole_dictionary": (None, 7 * 7 * 27 * 6 + 42, ("tensor(float)", [16, 16, 3], "probabilities")),
    "project.nets:small_net": ((34, 34, 3), 32 * 32 * 27 * 4 + 4000, ("tensor(float)", [34, 34, 3], "logits")),
    "lonely:small_net": ((10, 10, 3), 8 * 8 * 27 * 4 + 4000, ("tensor(float)", [10, 10, 3], "logits")),
}  # fmt: skip
REFUSED: dict[str, tuple[tuple[int, ...] | None, str]] = {
    "logits.keras": ((64, 64, 3), "logits.keras was built for an input of 48x48x3, which a size of 64x64x3 cannot"),
    "flat.keras": ((64, 64, 3), "flat.keras was built for an input of 60, which a size of 64x64x3 cannot change"),
    "open.keras": (None, "open.keras leaves its input shape ?x?x3 open; give an input_size"),
    "own_layer.keras": (None, 'own_layer.keras uses Twice, which is no part of Keras; name a builder instead, model'),
    "own_layer.h5": (None, "own_layer.h5 uses Twice, which is no part of Keras; name a builder instead"),
    "alone.weights.h5": (None, 'alone.weights.h5 holds weights alone; name the model that they belong to, with we'),
    "lambda.keras": (None, "lambda.keras has a Lambda layer, which runs code that is stored in the file; if you trust"),
    f"{NETS}unbuilt": (None, "is not built for any input; give an input_size"),
    f"{NETS}subclassed": (None, "is not built for any input; give an input_size"),
    f"{NETS}nothing": (None, f"the builder {NETS}nothing returns nothing; end it with `return keras.Model(...)`"),
    f"{NETS}leaves": (None, f"the builder {NETS}leaves ends the program (sys.exit); let it return the model"),
    "project.script:net": (None, "project.script ends the program (sys.exit) when it is imported; put what it runs"),
    f"{NETS}layer": (None, "returns a layer (Dense) and not a model"),
    f"{NETS}a_class": (None, "returns the class Subclassed and not a model"),
    f"{NETS}needs_depth": (None, "needs input_shape, depth; give an input_size and give arguments = { depth = ... }"),
    f"{NETS}two_outputs": (None, "two_outputs has 1 input and 2 outputs; one of each works: name a builder"),
    f"{NETS}two_output": (None, 'own_nets has no function two_output; did you mean "two_outputs"?'),
    f"{NETS}all_half": (None, "all_half keeps its weights in float16; build it under the policy mixed_float16"),
    f"{NETS}leaves_settings": (None, "2 outputs; one of each works"),
}  # fmt: skip


def case(model: str, shape: tuple[int, ...] | None) -> Case:
    return Case(name=model, model=model, input_shape=shape)


def made(model: str, shape: tuple[int, ...] | None = None, **arguments: object) -> tuple[Path, cache.Entry]:
    """The file and what is known of it, made as the worker makes it. Raises what the worker says."""
    from bench.export import exporter

    path, entry, _ = exporter.find_or_make(export.request(replace(case(model, shape), arguments=arguments)))
    return path, entry


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("model", EXPORTED)
def test_what_guides_build_is_exported(model: str) -> None:
    asked, mult_adds, (kind, shape, output) = EXPORTED[model]
    path, entry = made(model, asked)
    assert (entry.cost.mult_adds, entry.cost.uncounted) == (mult_adds, ())
    assert entry.artifact.fidelity is not None
    assert entry.artifact.fidelity.top1_agreement == 1.0
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (image,), (out,) = session.get_inputs(), session.get_outputs()
    assert (image.type, image.shape, out.name) == (kind, ["batch", *shape], output)
    images = np.random.default_rng(0).integers(0, 255, (3, *shape)).astype("uint8" if "uint8" in kind else "float32")
    together = session.run(None, {"image": images})[0]
    apart = [session.run(None, {"image": images[i : i + 1]})[0] for i in range(3)]
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=1e-3, atol=1e-6)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("model", REFUSED)
def test_what_cannot_be_exported_says_in_one_line_what_to_do(model: str) -> None:
    shape, says = REFUSED[model]
    with pytest.raises(BenchError) as refused:
        made(model, shape)
    message = str(refused.value)
    assert says in message
    assert "\n" not in message
    assert len(message) < 420


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("model", ["float16.keras", "bfloat16.keras"])
def test_half_precision_is_named_and_what_it_changes_is_measured(model: str) -> None:
    (said,) = made(model)[1].artifact.warnings
    assert said.startswith(f"the model computes in mixed_{model.removesuffix('.keras')} and this file in fp32: Keras's")
    difference = float(said.split("change by ")[1].split()[0])
    assert 1e-6 < difference < 2e-2


@pytest.mark.usefixtures("folder")
def test_what_one_builder_changes_in_keras_does_not_reach_the_next_model() -> None:
    import keras

    with pytest.raises(BenchError, match="2 outputs"):
        made(f"{NETS}leaves_settings")
    assert keras.config.image_data_format() == "channels_first"
    from bench.models import building

    building.fresh()
    found = keras.config.image_data_format(), keras.config.dtype_policy().name, keras.config.epsilon()
    assert found == ("channels_last", "float32", 1e-7)
    assert keras.layers.Dense(1).name == "dense", "names do not depend on what was built before"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("mode", "pixels"), [("caffe", True), ("tf", True), ("torch", True), ("adapted", True), ("unit", False)]
)
def test_a_model_that_scales_pixels_itself_is_known_by_its_graph(mode: str, pixels: bool) -> None:
    entry = made(f"{NETS}photographs", mode=mode)[1]
    assert entry.takes_pixels == pixels
    assert entry.artifact.warnings == ()


@pytest.mark.usefixtures("folder")
def test_a_loop_over_time_is_named_and_an_unrolled_one_exported() -> None:
    _batch_is_free(made(f"{NETS}over_time", unroll=True)[0], (6, 5))
    with pytest.raises(BenchError, match=r"has a loop over time .* give the layer unroll=True"):
        made(f"{NETS}over_time", unroll=False)


def _batch_is_free(path: Path, shape: tuple[int, ...]) -> None:
    """Five examples at once give what they give one by one, and the constants of no example are those of the trace."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float32)
    together = session.run(None, {"image": images})[0]
    apart = [session.run(None, {"image": images[i : i + 1]})[0] for i in range(5)]
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=1e-4, atol=1e-6)
    assert np.ptp(together, axis=0).min() > 1e-3


@pytest.mark.usefixtures("folder")
def test_a_token_before_those_of_the_image_is_repeated_for_each(folder: Path) -> None:
    path, entry = made(f"{NETS}transformer")
    _batch_is_free(path, (32, 32, 3))
    assert entry.artifact.fidelity is not None
    assert entry.artifact.fidelity.max_rel < 1e-5


@pytest.mark.usefixtures("folder")
def test_the_first_wrong_layer_of_a_nested_model_is_named(tmp_path: Path) -> None:
    from bench.export import exporter, preparation

    wanted = export.request(case("logits.keras", None))
    path, _ = made("logits.keras")
    ready = preparation.prepared(wanted)
    images, keras_model = ready.images[:1], ready.model
    assert exporter._where(path, images, lambda: keras_model) == ""
    model = onnx.load(path)
    names = {tensor.name: tensor for tensor in model.graph.initializer}
    found = []
    for node in [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]:
        tensor = names[node.input[1]]
        before = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(before * np.float32(1.5), tensor.name))
        onnx.save(model, tmp_path / "changed.onnx")
        found.append(exporter._where(tmp_path / "changed.onnx", images, lambda: keras_model))
        tensor.CopyFrom(numpy_helper.from_array(before, tensor.name))
    assert len(found) == 4
    for where, layer in zip(found, ("conv2d", "depthwise_conv2d", "conv2d", "dense"), strict=True):
        assert f"first in layer {layer}" in where


@pytest.mark.usefixtures("folder")
def test_an_untrained_network_is_told_from_a_checked_one() -> None:
    said = "nearly the same for all images"
    assert any(said in warning for warning in made(f"{NETS}untrained")[1].artifact.warnings)
    assert made("logits.keras")[1].artifact.warnings == ()


def test_an_imported_part_of_a_builder_is_part_of_the_key(folder: Path) -> None:
    wanted = export.request(case("project.nets:small_net", (34, 34, 3)))
    before = wanted.key
    parts = folder / "project" / "parts.py"
    parts.write_text(PARTS + "# changed\n")
    assert wanted.key != before
    parts.write_text(PARTS)
    assert wanted.key == before


@pytest.mark.usefixtures("folder")
def test_a_file_that_a_builder_reads_is_part_of_what_is_kept(folder: Path) -> None:
    def sha256() -> str:
        return made("reader:net")[1].artifact.sha256

    (folder / "reader.py").write_text(READER)
    (folder / "names.txt").write_text("a b c")
    (folder / "read.h5").write_bytes((folder / "legacy.h5").read_bytes())
    first = made("reader:net")[1]
    assert {Path(path).name for path in first.read} == {"names.txt", "read.h5", "logits.keras"}
    assert made("reader:net")[1] == first, "found in the cache"
    (folder / "names.txt").write_text("a b c d")
    assert cache.find(export.request(case("reader:net", None))) is None
    second = sha256()
    assert second != first.artifact.sha256
    (folder / "names.txt").write_text("a b c")
    assert sha256() == first.artifact.sha256
    (folder / "names.txt").unlink()
    with pytest.raises(BenchError, match="FileNotFoundError"):
        made("reader:net")


def test_suites_take_such_files(folder: Path) -> None:
    (folder / "suite.toml").write_text('title = "own"\n[[case]]\nmodel = ["legacy.h5", "logits.keras"]\n')
    assert [c.model for c in suites.load_suite(folder / "suite.toml").cases] == [
        str(folder / "legacy.h5"), str(folder / "logits.keras"),
    ]  # fmt: skip

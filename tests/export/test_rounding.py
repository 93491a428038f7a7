"""Where float32 leaves open whether a file is right, float64 decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import export
from bench.errors import Failed
from bench.export import fidelity
from bench.records import Case
from tests.export import test_quantise
from tests.export.test_fidelity import IMAGES, LOGITS, file


@pytest.mark.parametrize(("own", "passes"), [(0.0, False), (3e-5, False), (4e-5, True), (1.0, True)])
def test_a_file_may_be_as_far_from_exact_values_as_rounding_leads_keras(
    own: float, passes: bool, tmp_path: Path
) -> None:
    exact = LOGITS.astype(np.float64)
    exact[0, 0] += 16 * 1e-4  # the file is so far from it
    keras = exact + 16 * own
    found = fidelity.settled(file(tmp_path / "m.onnx"), IMAGES, keras, exact)
    assert found.max_rel == pytest.approx(1e-4, rel=0.02)
    assert found.passed is passes


def test_what_is_no_rounding_is_forgiven_by_nothing(tmp_path: Path) -> None:
    exact = LOGITS.astype(np.float64)
    exact[0, 0] += 16 * 3e-4
    assert not fidelity.settled(file(tmp_path / "m.onnx"), IMAGES, exact + 1.0, exact).passed


def test_no_more_is_forgiven_where_keras_hardly_rounds(tmp_path: Path) -> None:
    exact = LOGITS.astype(np.float64)
    exact[0, 0] += 16 * 1.5e-5
    assert fidelity.settled(file(tmp_path / "m.onnx"), IMAGES, exact + 1e-9, exact).passed


@pytest.mark.slow
@test_quantise.needs_keras
def test_a_network_has_a_twin_in_float64() -> None:
    import keras

    from bench.export import rounding, weights
    from tests.export import nets

    model = nets.varied()
    images = np.random.default_rng(0).normal(size=(2, 33, 29, 3)).astype(np.float32)
    exact = rounding.in_float64(model, images)
    assert exact is not None
    assert exact.dtype == np.float64
    rounded = weights.run(model, images)
    assert 0 < np.abs(exact - rounded).max() < 1e-5
    assert rounded.dtype == np.float32

    class Own(keras.Model):  # type: ignore[misc]
        def call(self, image: object) -> object:
            return image

    assert rounding.in_float64(Own(), images) is None


@pytest.mark.slow
@test_quantise.needs_keras
def test_a_file_that_float32_doubts_is_exported_where_float64_settles_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.export import exporter, rounding

    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(fidelity, "check", lambda path, images, expected, **_: fidelity.compared(
        fidelity.run(path, images), expected * 1.001, fidelity.TOLERANCE))  # fmt: skip
    request = export.request(Case(name="varied", model="tests.export.nets:varied", input_shape=(33, 29, 3)))
    _, entry, _ = exporter.find_or_make(request)
    assert entry.artifact.fidelity.passed
    assert entry.artifact.fidelity.max_rel < fidelity.TOLERANCE
    wrong = rounding.in_float64
    monkeypatch.setattr(rounding, "in_float64", lambda model, images: wrong(model, images) ** 1.001)
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "other"))
    with pytest.raises(Failed, match=r"does not compute what Keras computes: outputs differ by .*e-0"):
        exporter.find_or_make(request)

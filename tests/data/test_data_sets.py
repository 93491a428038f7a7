"""What a new data set costs: one file that holds what `bench.data.DataSet` says, and its line in `suites.DATA_SETS`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import data, export, suites, training
from bench.errors import Failed, WrongUsage
from bench.export import calibrating, quantise
from bench.records import Accuracy, Case
from bench.training import process

STRIPES = '''
"""Grey images, the lighter the higher their class; made up for a test."""

import numpy as np

KIND, SOURCE, CLASSES = "classes", "stripes, held-out part", 3
EXAMPLES, EPOCHS, LEARNING_RATE = 30, 2, 0.01

def _drawn(n, size, first):
    labels = np.arange(first, first + n) % CLASSES
    return np.broadcast_to((100 * labels).astype(np.uint8)[:, None, None, None], (n, size, size, 3)), labels

def training(n, size, *, seed): return _drawn(n, size, seed)
def validation(size): return _drawn(6, size, 1)
def held_out(size): return _drawn(20, size, 2)
def calibration(size): return _drawn(9, size, 0)[0], _drawn(5, size, 1)[0]
def model_input(images): return images.astype(np.float32) / 100
'''

DOTS = '''
"""One box in the left half of every other image; made up for a test."""

import numpy as np
from bench.data import Objects

KIND, SOURCE, CLASSES = "localisation", "dots, held-out part", 2
EXAMPLES, EPOCHS, LEARNING_RATE = 10, 1, 0.01

def _drawn(n, size):
    present = np.arange(n) % 2 == 0
    box = np.where(present[:, None], [[0.0, 0.0, 0.5, 1.0]], 0.0)
    return np.zeros((n, size, size, 3), np.uint8), Objects(present, box, np.arange(n) % 4 // 2 * present)

def training(n, size, *, seed): return _drawn(n, size)
def validation(size): return None
def held_out(size): return _drawn(8, size)
def calibration(size): return _drawn(4, size)[0], _drawn(4, size)[0]
def model_input(images): return images.astype(np.float32)
'''


@pytest.fixture(autouse=True)
def _two_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, source in (("stripes", STRIPES), ("dots", DOTS)):
        (tmp_path / f"made_up_{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, f"made_up_{name}", raising=False)
        monkeypatch.setitem(suites.DATA_SETS, name, f"made_up_{name}")


def case_of(name: str, tmp_path: Path, **more: object) -> Case:
    file = tmp_path / "own.toml"
    keys = {"model": "MobileNet", "input_size": 32, "classes": 3, "head": "notes", "precision": "int8"} | more
    lines = [f"{key} = {value!r}" for key, value in keys.items()]
    file.write_text("\n".join(["[[case]]", *lines, f'train = {{data = "{name}"}}', ""]))
    (case,) = suites.load_suite(str(file)).cases
    return case


def judged(rows: object, name: str, monkeypatch: pytest.MonkeyPatch) -> Accuracy:
    monkeypatch.setattr(process, "ask", lambda question: {"size": 16, "rows": np.asarray(rows).tolist()})
    return training.accuracy(Path("x.onnx"), name, "onnxruntime")


def test_every_data_set_holds_what_the_protocol_says() -> None:
    members = {*data.DataSet.__annotations__, *(n for n, v in vars(data.DataSet).items() if inspect.isfunction(v))}
    members -= {"__init__", "__subclasshook__"}
    assert {"KIND", "training", "held_out", "calibration", "model_input"} <= members
    for name in suites.DATA_SETS:
        known = data.get(name)
        assert {member for member in members if not hasattr(known, member)} == set(), name
        assert known.KIND in training.JUDGES
    with pytest.raises(WrongUsage, match='no data set "stripe"; did you mean "stripes"'):
        data.get("stripe")


def test_a_suite_trains_on_a_new_one_by_its_own_recipe(tmp_path: Path) -> None:
    recipe = training.recipe(case_of("stripes", tmp_path))
    assert (recipe.data, recipe.examples, recipe.epochs, recipe.learning_rate) == ("stripes", 30, 2, 0.01)


def test_its_weights_and_ranges_follow_from_its_file(tmp_path: Path) -> None:
    case = case_of("stripes", tmp_path)
    before = training.recipe(case).key, export.request(case).key
    (tmp_path / "made_up_stripes.py").write_text(STRIPES.replace("100 *", "90 *"))
    after = training.recipe(case).key, export.request(case).key
    assert all(a != b for a, b in zip(before, after, strict=True))


def test_its_own_images_calibrate_as_its_networks_take_them(tmp_path: Path) -> None:
    request = export.request(case_of("stripes", tmp_path))
    assert request.calibration == "stripes"
    ranging, others = calibrating.parts(request, (8, 8, 3), "float32", takes_pixels=False)
    assert (ranging.shape, others.shape, ranging.dtype) == ((9, 8, 8, 3), (5, 8, 8, 3), np.float32)
    assert ranging[:, 0, 0, 0].tolist() == [0, 1, 2] * 3
    assert others[:, 0, 0, 0].tolist() == [1, 2, 0, 1, 2]


def test_classes_are_read_as_its_kind_says() -> None:
    rows = np.zeros((2, 7))
    rows[:, data.COLUMNS.index("class")] = 1, 4
    by_kind = quantise._classes_of("dots")
    assert by_kind is not None
    assert by_kind(rows).tolist() == [1, 4]
    assert quantise._classes_of("stripes") is quantise._classes_of("synthetic") is quantise._classes_of("") is None


def test_a_classifier_is_judged_on_its_held_out_images(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.eye(3)[np.arange(2, 22) % 3]
    rows[0] = [0.9, 0.1, 0.0]
    found = judged(rows, "stripes", monkeypatch)
    assert (found.origin, found.source, found.n, found.top1) == ("measured", "stripes, held-out part", 20, 95.0)
    with pytest.raises(Failed, match=r"\(20, 4\); this data set asks for 20 rows of 3: score of class 0"):
        judged(np.ones((20, 4)), "stripes", monkeypatch)
    with pytest.raises(Failed, match="not finite"):
        judged(np.full((20, 3), np.nan), "stripes", monkeypatch)


def test_a_localiser_is_judged_by_its_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = data.get("dots").held_out(16)[1]
    here = truth.present.astype(float)
    rows = np.column_stack([truth.box, here, truth.label, here])
    rows[0, 2] = 0.25  # half of the box: IoU 0.5
    rows[1, 6] = 1.0  # nothing is there
    found = judged(rows, "dots", monkeypatch)
    assert (found.n, found.source, found.top1) == (8, "dots, held-out part", None)
    assert found.detection is not None
    assert found.detection.ap50 == 100
    # Of class 0 the first of two boxes misses: a precision of 1/2 up to a recall of 1/2, 51 of 101 points; class 1: 1.
    assert found.detection.ap75 == pytest.approx(100 * (51 / 101 / 2 + 1) / 2)
    assert found.detection.mean_iou == pytest.approx(100 * 3.5 / 4)
    assert (found.detection.class_accuracy, found.detection.presence_accuracy) == (100, 87.5)
    with pytest.raises(Failed, match="asks for 8 rows of 7: xmin, ymin"):
        judged(rows[:, :6], "dots", monkeypatch)

"""Scenes, targets, the head, its loss and the decoding; judging."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from bench.data import scenes
from bench.detection import boxes, judging, targets
from bench.errors import WrongUsage

needs_keras = pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow")


def run_python(code: str) -> dict[str, float]:
    """Run code that needs TensorFlow in a process of its own; it prints one JSON line last."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_scenes_follow_from_the_seed() -> None:
    one, same, other = (scenes.scenes("train", 12, 48, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.box, same.box)
    assert not np.array_equal(one.image, other.image)
    assert not np.array_equal(one.image, scenes.scenes("test", 12, 48, seed=1).image)


def test_scenes_are_what_they_say() -> None:
    drawn = scenes.scenes("train", 300, 64)
    assert drawn.image.shape == (300, 64, 64, 3)
    assert 0.08 < (~drawn.present).mean() < 0.25
    assert set(drawn.label[drawn.present]) == set(range(10))
    boxes.check(drawn.box[drawn.present], inside=True)
    assert boxes.area(drawn.box[drawn.present]).min() > 0.01
    assert not drawn.box[~drawn.present].any()


def test_the_box_holds_the_digit() -> None:
    drawn = scenes.scenes("train", 200, 64)
    lit = drawn.image.min(axis=3) > 165  # only a digit is so light in all colours
    inside, outside = 0, 0
    for i in np.flatnonzero(drawn.present):
        x0, y0, x1, y1 = (drawn.box[i] * 64).round().astype(int)
        inside += int(lit[i, y0:y1, x0:x1].sum())
        outside += int(lit[i].sum() - lit[i, y0:y1, x0:x1].sum())
    assert inside > 50 * max(outside, 1)
    assert lit[~drawn.present].mean() < 0.001


def test_training_and_test_digits_differ() -> None:
    train, _ = scenes._digits("train")
    test, _ = scenes._digits("test")
    assert len(train) + len(test) == 1797
    seen = {digit.tobytes() for digit in train}
    assert sum(digit.tobytes() in seen for digit in test) == 0


def test_targets_by_hand() -> None:
    y = targets.encode([True, False], [[0.25, 0.5, 0.75, 1.0], [np.nan] * 4], [2, 99], 3)
    assert y.tolist() == [[1, 0.5, 0.75, 0.5, 0.5, 0, 0, 1], [0] * 8]


def test_targets_return() -> None:
    drawn = scenes.scenes("test", 50, 64)
    found = targets.decode(targets.encode(drawn.present, drawn.box, drawn.label, 10))
    assert np.allclose(found.box, drawn.box, rtol=0, atol=1e-15)
    assert np.array_equal(found.label, drawn.label)
    assert np.array_equal(found.score, drawn.present)


@pytest.mark.parametrize(
    ("box", "label", "says"),
    [
        ([0.5, 0, 0.2, 1], 0, "inverted"),
        ([0, 0, 1.5, 1], 0, "outside"),
        ([0, np.nan, 1, 1], 0, "not finite"),
        ([0.5, 0, 0.5, 1], 0, "image 1 has no area"),
        ([0, 0, 1, 1], 3, "label of image 1 is 3; it must be 0 to 2"),
        ([0, 0, 1, 1], -1, "label of image 1 is -1"),
    ],
)
def test_wrong_targets(box: list[float], label: int, says: str) -> None:
    with pytest.raises(WrongUsage, match=says):
        targets.encode([False, True], [[0, 0, 1, 1], box], [0, label], 3)


def test_a_perfect_localiser_is_judged_so_and_a_worse_one_worse() -> None:
    truth = scenes.scenes("test", 200, 64)
    here = truth.present
    rows = np.concatenate([truth.box, here[:, None], truth.label[:, None], here[:, None]], axis=1).astype(float)
    perfect = judging.judge(rows, truth, size=64, classes=10)
    assert (perfect.map, perfect.ap50, perfect.mean_iou) == pytest.approx((1, 1, 1))
    assert (perfect.class_accuracy, perfect.presence_accuracy, perfect.notes_map50) == (1, 1, 1)
    rows[:, 2] = rows[:, 0] + 0.6 * (rows[:, 2] - rows[:, 0])  # IoU 0.6
    rows[:20, 6] = 1 - rows[:20, 6]
    worse = judging.judge(rows, truth, size=64, classes=10)
    assert worse.ap50 == pytest.approx(1)
    assert worse.ap75 == 0
    assert worse.mean_iou == pytest.approx(0.6)
    assert worse.presence_accuracy == 0.9


NET = """
import json, keras, numpy as np
from bench.data import scenes
from bench.detection import targets
from bench.models import localization
from keras import ops
found = {}
drawn = scenes.scenes("train", 24, 64)
y = targets.encode(drawn.present, drawn.box, drawn.label, 10).astype("float32")
model = localization.predictor("MobileNet", (64, 64, 3), 10, {"alpha": 0.25})
images = scenes.model_input(drawn.image)
p = np.asarray(model(images, training=False))
d = targets.decode(p)
ours = np.column_stack([d.box, d.score, d.label, d.objectness])
found["decoding"] = float(np.abs(np.asarray(localization.decoded(model)(images, training=False)) - ours).max())
loss = lambda t, q: np.asarray(localization.loss(ops.convert_to_tensor(t), ops.convert_to_tensor(q)))
found["perfect"] = float(loss(y, y).max())
found["other"] = float(loss(y, p).min())
# Where there is no object, neither box nor class matter; where there is one, both do.
q = p.copy(); q[:, 1:5] = 0.3; q[:, 5:] = np.eye(10)[3]
change = np.abs(loss(y, q) - loss(y, p))
found["empty"] = float(change[~drawn.present].max()); found["full"] = float(change[drawn.present].min())
with_box = np.abs(loss(y, np.concatenate([p[:, :1], y[:, 1:5], p[:, 5:]], 1)) - loss(y, p))
found["box"] = float(with_box[drawn.present].min())
# GIoU of boxes that do not touch: -(hull - union)/hull; here 1/10 squares at both ends of a 1 x 1/10 strip: -0.8.
a, b = [[0.0, 0.0, 0.1, 0.1]], [[0.9, 0.0, 1.0, 0.1]]
found["giou"] = float(localization._giou(ops.convert_to_tensor(a), ops.convert_to_tensor(b))[0])
print(json.dumps(found))
"""


@needs_keras
@pytest.mark.slow
def test_the_head_its_loss_and_its_decoding() -> None:
    found = run_python(NET)
    assert found["decoding"] < 1e-6
    assert found["perfect"] < 1e-4
    assert found["other"] > 0.1
    assert found["empty"] == 0
    assert found["full"] > 0.01
    assert found["box"] > 0.01
    assert found["giou"] == pytest.approx(-0.8, abs=1e-5)

"""Time and memory of evaluating detections: ours, faster-coco-eval and pycocotools, side by side in one run.

    python tests/benchmarks/detection_speed.py [--rounds 3] [--images 5000]

5,000 images, about 36,000 boxes of 80 classes and 200,000 detections from a fixed seed. Every contender reads the two
files and computes the twelve COCO figures, each time in a fresh process, in rounds, in an order that changes with the
round. The time is from the first byte read to the last figure, without imports; memory is the peak of the process,
less what it held before it began to read.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Contender = Callable[[Path, Path], Sequence[float]]


def make(folder: Path, images: int) -> tuple[Path, Path]:
    """Write the data set: COCO's sizes of objects, crowds, some detections near objects and the rest anywhere."""
    rng = np.random.default_rng(20170417)
    classes = 80
    per_image = rng.geometric(1 / 8.2, images) - 1  # many images with few objects, few with many
    image = np.repeat(np.arange(images), per_image)
    n = len(image)
    size = np.exp(rng.normal(4.0, 1.0, (n, 2))).clip(3, 600)
    corner = rng.uniform(0, 1, (n, 2)) * (640 - size).clip(1)
    category = rng.integers(1, classes + 1, n)
    boxes = np.round(np.concatenate([corner, size], axis=1), 2)
    truth = {
        "images": [{"id": i, "width": 640, "height": 640} for i in range(images)],
        "categories": [{"id": k, "name": f"class {k}"} for k in range(1, classes + 1)],
        "annotations": [
            {"id": i + 1, "image_id": int(image[i]), "category_id": int(category[i]), "bbox": boxes[i].tolist(),
             "area": float(boxes[i, 2] * boxes[i, 3] * 0.7), "iscrowd": int(rng.random() < 0.01)}
            for i in range(n)
        ],
    }  # fmt: skip
    m = 40 * images
    near = rng.integers(0, n, m)
    found_box = np.abs(boxes[near] * rng.normal(1, 0.08, (m, 4)))
    stray = rng.random(m) < 0.5
    found_box[stray] = np.concatenate([rng.uniform(0, 400, (stray.sum(), 2)), rng.uniform(3, 240, (stray.sum(), 2))], 1)
    found_image = np.where(stray, rng.integers(0, images, m), image[near])
    found_category = np.where(rng.random(m) < 0.8, category[near], rng.integers(1, classes + 1, m))
    score = np.round(np.where(stray, rng.beta(1, 4, m), rng.beta(3, 2, m)), 3)
    found = [
        {"image_id": int(found_image[i]), "category_id": int(found_category[i]),
         "bbox": np.round(found_box[i], 2).tolist(), "score": float(score[i])}
        for i in range(m)
    ]  # fmt: skip
    gt, dt = folder / "gt.json", folder / "dt.json"
    gt.write_text(json.dumps(truth))
    dt.write_text(json.dumps(found))
    return gt, dt


def ours() -> Contender:
    import hotcoco  # noqa: F401

    from bench.detection import coco, coco_files
    from tests.detection.sets import twelve

    return lambda gt, dt: twelve(coco.figures(coco_files.read(gt, dt))[0])


def ours_whole() -> Contender:
    import hotcoco  # noqa: F401

    from bench.detection import evaluate
    from tests.detection.sets import twelve

    return lambda gt, dt: twelve(evaluate(gt, dt).coco)


def pycocotools() -> Contender:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def run(gt: Path, dt: Path) -> Sequence[float]:
        truth = COCO(str(gt))
        evaluator = COCOeval(truth, truth.loadRes(str(dt)), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
        return evaluator.stats.tolist()

    return run


def faster_coco_eval() -> Contender:
    from faster_coco_eval import COCO, COCOeval_faster

    def run(gt: Path, dt: Path) -> Sequence[float]:
        truth = COCO(str(gt))
        evaluator = COCOeval_faster(truth, truth.loadRes(str(dt)), "bbox")
        evaluator.run()
        return [float(value) for value in evaluator.stats[:12]]

    return run


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "ours": ours,
    "ours, the whole evaluation": ours_whole,
    "faster-coco-eval": faster_coco_eval,
    "pycocotools": pycocotools,
}


def _peak_kib() -> int:
    """This process's peak; getrusage would pass on its parent's."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def visit(name: str, gt: Path, dt: Path) -> dict[str, object]:
    """Run one contender here, once."""
    with contextlib.redirect_stdout(io.StringIO()):
        run = CONTENDERS[name]()
        before = _peak_kib()
        start = time.perf_counter()
        figures = run(gt, dt)
        seconds = time.perf_counter() - start
    peak = _peak_kib()
    return {"seconds": seconds, "mib": (peak - before) / 1024, "figures": [float(f) for f in figures]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--visit", nargs=3, metavar=("NAME", "GT", "DT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.visit:
        print(json.dumps(visit(asked.visit[0], Path(asked.visit[1]), Path(asked.visit[2]))))
        return
    seen: dict[str, list[dict[str, object]]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        gt, dt = make(Path(folder), asked.images)
        boxes = len(json.loads(gt.read_text())["annotations"])
        print(f"{asked.images} images, {boxes} boxes, {40 * asked.images} detections; {asked.rounds} rounds")
        for turn in range(asked.rounds):
            for name in random.Random(turn).sample(list(CONTENDERS), len(CONTENDERS)):
                command = [sys.executable, "-m", "tests.benchmarks.detection_speed", "--visit", name, str(gt), str(dt)]
                seen[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    medians = {name: statistics.median(v["seconds"] for v in visits) for name, visits in seen.items()}  # type: ignore[type-var]
    expected = np.array(seen["pycocotools"][0]["figures"])
    print(f"{'':28} {'median s':>9} {'range s':>15} {'peak MiB':>9} {'x pycocotools':>14} {'largest difference':>19}")
    for name, visits in seen.items():
        seconds = [float(v["seconds"]) for v in visits]  # type: ignore[arg-type]
        mib = max(float(v["mib"]) for v in visits)  # type: ignore[arg-type]
        off = max(float(np.abs(np.array(v["figures"]) - expected).max()) for v in visits)
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        faster = medians["pycocotools"] / medians[name]
        print(f"{name:28} {medians[name]:9.2f} {spread:>15} {mib:9.0f} {faster:14.1f} {off:19.1e}")


if __name__ == "__main__":
    main()

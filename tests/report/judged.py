"""A run whose networks were judged on a folder of photographs, as it lies on the disk."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import store, suites
from bench.analysis.pairs import packed
from bench.analysis.statistics import wilson
from bench.records import Accuracy, Record, Run
from tests import runs
from tests.accuracy.sets import photos

MODELS = (
    "MobileNet",
    "MobileNetV2",
    "ResNet50",
    "ResNet50V2",
    "DenseNet121",
    "NASNetMobile",
    "EfficientNetB0",
    "Xception",
)


def run_on(
    folder: Path, results: Path, words: Sequence[str], *, each: int = 12, skill: float = 0.85, hard: float = 0.06
) -> tuple[Run, Path]:
    """A stored run of MODELS on photographs of these classes: `hard` of them are wrong for all.

    Each network takes its mistakes for the class behind the right one.
    """
    photos(folder, words, each)
    files = [(f"{word}/{number:03}.jpg", word) for word in sorted(words) for number in range(each)]
    rng = random.Random(3)
    never = {file for file, _ in files if rng.random() < hard}
    records, said = [], []
    for place, model in enumerate(MODELS):
        case = suites.case_of_model(model, head="notes", classes=len(words), weights="imagenet")
        right = [file not in never and rng.random() < skill + 0.015 * (place % 5) for file, _ in files]
        record, text = _judged(runs.record(case), folder, files, right, sorted(words))
        records.append(record)
        said.append((case.name, text))
    run = runs.run(records, suite="transfer")
    stored = store.create(results, run)
    (stored / "accuracy").mkdir()
    for name, text in said:
        (stored / "accuracy" / f"{store.slug(name)}.json").write_text(text)
    return run, stored


def _judged(
    record: Record, folder: Path, files: list[tuple[str, str]], right: list[bool], words: list[str]
) -> tuple[Record, str]:
    n, count = len(right), sum(right)
    low, high = (100 * end for end in wilson(count, n))
    accuracy = Accuracy(
        origin="measured", top1=100 * count / n, top1_low=low, top1_high=high, n=n, source=str(folder),
        images="the same", right=packed(right),
    )  # fmt: skip
    mistakes = [
        {"file": file, "name": word, "answer": words[(words.index(word) + 1) % len(words)], "score": 0.7}
        for (file, word), good in zip(files, right, strict=True)
        if not good
    ]
    evaluation = {
        "artifact_sha256": record.artifact.sha256 if record.artifact else "", "images": str(folder),
        "images_sha256": "the same", "n": n, "mistakes": mistakes,
        "classes": [{"name": word, "n": sum(each == word for _, each in files)} for word in words],
    }  # fmt: skip
    return replace(record, accuracy=accuracy), store.json_text(evaluation)

"""Ids of COCO-format files: of any kind, any size, in any order, and what detections say instead of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.detection import Evaluation, evaluate
from bench.errors import WrongUsage
from tests.detection.sets import generate, write

Change = Callable[[Any], Any]
PLAIN = generate(4, images=12, levels=10**6)


def renamed(
    image: Change = lambda i: i, category: Change = lambda c: c, *, truth: bool = True, found: bool = True
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The plain set with other ids, on one side or both."""
    gt, dt = copy.deepcopy(PLAIN)
    if truth:
        for entry in gt["images"]:
            entry["id"] = image(entry["id"])
        for entry in gt["categories"]:
            entry["id"] = category(entry["id"])
        for entry in gt["annotations"]:
            entry.update(image_id=image(entry["image_id"]), category_id=category(entry["category_id"]))
    for entry in dt if found else ():
        entry.update(image_id=image(entry["image_id"]), category_id=category(entry["category_id"]))
    return gt, dt


def figures(found: Evaluation) -> tuple[Any, ...]:
    return found.coco, found.notes_map, found.counts, found.errors, found.confusion


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return evaluate(*write(tmp_path_factory.mktemp("plain"), *PLAIN))


SAME: dict[str, tuple[Change, Change]] = {
    "texts": (lambda i: f"photo {i:05}", lambda c: f"class {c:03}"),
    "whole numbers as floats": (float, float),
    "beyond 2^62": (lambda i: 2**62 + i, lambda c: c),
    "beyond 2^63": (lambda i: 2**63 + i, lambda c: 2**63 + c),
    "beyond 2^70": (lambda i: 2**70 + i, lambda c: c),
    "negative": (lambda i: i - 10**6, lambda c: c - 1000),
    "fractions": (lambda i: i + 0.5, lambda c: c),
    "empty text among them": (lambda i: "" if i == 0 else f"{i:05}", lambda c: c),
}


@pytest.mark.parametrize("kind", SAME)
def test_ids_of_any_kind_and_size_say_the_same(tmp_path: Path, plain: Evaluation, kind: str) -> None:
    found = evaluate(*write(tmp_path, *renamed(*SAME[kind])))
    assert figures(found) == figures(plain)
    assert not [line for line in found.warnings if "by its id" in line]


OTHERWISE: dict[str, tuple[Change, Change]] = {
    "numbers as texts": (str, str),
    "numbers as texts of floats": (lambda i: f"{i}.0", lambda c: f"{c}.0"),
}


@pytest.mark.parametrize("kind", OTHERWISE)
@pytest.mark.parametrize("side", ["truth", "found"])
def test_numbers_as_texts_on_one_side_are_mapped_and_said(
    tmp_path: Path, plain: Evaluation, kind: str, side: str
) -> None:
    found = evaluate(*write(tmp_path, *renamed(*OTHERWISE[kind], truth=side == "truth", found=side == "found")))
    assert sorted(map(sum, found.confusion)) == sorted(map(sum, plain.confusion))
    assert found.coco.ap == pytest.approx(plain.coco.ap)
    said = [line for line in found.warnings if "by its id as text or as a number" in line]
    assert [line.partition(" by")[0] for line in said] == ["dt.json names each image", "dt.json names each category"]


@pytest.mark.parametrize(
    ("file_name", "image_id", "said"),
    [
        ("photos/f{:05}.jpg", "f{:05}", "by the stem of its file's name"),
        ("photos/f{:05}.jpg", "f{:05}.jpg", "by its file's name without folders"),
        ("photos\\f{:05}.jpg", "photos/f{:05}.jpg", "by its file's name"),
        ("f{:05}.jpg", "/data/val/f{:05}.jpg", "by its file's name without folders"),
        ("f{:05}.jpg", "D:\\val\\f{:05}", "by the stem of its file's name"),
        ("{:012}.jpg", 0, "by the number that its file is called"),
    ],
)
def test_files_instead_of_ids_are_mapped_and_said(
    tmp_path: Path, plain: Evaluation, file_name: str, image_id: str | int, said: str
) -> None:
    gt, dt = copy.deepcopy(PLAIN)
    for entry in gt["images"]:
        entry["file_name"] = file_name.format(entry["id"] + 10**9)
    for entry in dt:
        number = entry["image_id"] + 10**9
        entry["image_id"] = image_id.format(number) if isinstance(image_id, str) else number
    found = evaluate(*write(tmp_path, gt, dt))
    assert figures(found) == figures(plain)
    assert found.warnings[0] == f"dt.json names each image {said}, not by its id: so it was read"


def test_an_id_with_zeros_before_it_is_mapped_where_no_file_is_called_so(tmp_path: Path, plain: Evaluation) -> None:
    gt, dt = copy.deepcopy(PLAIN)
    for entry in dt:
        entry["image_id"] = f"{entry['image_id']:09}"
    found = evaluate(*write(tmp_path, gt, dt))
    assert figures(found) == figures(plain)
    assert "by its id with zeros before it" in found.warnings[0]
    backwards = [entry["id"] for entry in gt["images"]][::-1]
    for entry, number in zip(gt["images"], backwards, strict=True):
        entry["file_name"] = f"{number:09}.jpg"
    assert "by the stem of its file's name" in evaluate(*write(tmp_path, gt, dt)).warnings[0]


def test_files_of_one_name_in_two_folders_are_not_one_image(tmp_path: Path) -> None:
    gt, dt = copy.deepcopy(PLAIN)
    for entry in gt["images"]:
        entry["file_name"] = f"{entry['id']}.jpg"
    for place, entry in enumerate(dt):
        entry["image_id"] = f"{'ab'[place % 2]}/{gt['images'][0]['id']}.jpg"
    with pytest.raises(WrongUsage, match="are the two files of the same data set"):
        evaluate(*write(tmp_path, gt, dt))


def test_categories_by_name_are_mapped_unless_two_are_called_alike(tmp_path: Path, plain: Evaluation) -> None:
    gt, dt = copy.deepcopy(PLAIN)
    names = {entry["id"]: entry["name"] for entry in gt["categories"]}
    for entry in dt:
        entry["category_id"] = names[entry["category_id"]]
    found = evaluate(*write(tmp_path, gt, dt))
    assert figures(found) == figures(plain)
    assert "names each category by name" in found.warnings[0]
    for entry in gt["categories"]:
        entry["name"] = "thing"
    with pytest.raises(WrongUsage, match=r"entry 0 has the category_id \".*\", which the ground truth does not list"):
        evaluate(*write(tmp_path, gt, dt))


def test_categories_counted_from_0_are_not_guessed_but_named(tmp_path: Path) -> None:
    gt, dt = copy.deepcopy(PLAIN)
    places = {entry["id"]: place for place, entry in enumerate(gt["categories"])}
    for entry in [*gt["categories"], *gt["annotations"]]:
        key = "id" if "name" in entry else "category_id"
        entry[key] = 10 + places[entry[key]]
    for entry in dt:
        entry["category_id"] = places[entry["category_id"]]
    with pytest.raises(WrongUsage, match=r"they count the categories from 0; write the ids of the ground truth's list"):
        evaluate(*write(tmp_path, gt, dt))


@pytest.mark.parametrize(
    "of", [lambda n: n, lambda n: f"uuid-{n}", lambda n: n / 7, lambda n: None, lambda n: 2**80 + n]
)
def test_annotations_need_no_id(tmp_path: Path, plain: Evaluation, of: Change) -> None:
    gt, dt = copy.deepcopy(PLAIN)
    for number, entry in enumerate(gt["annotations"]):
        entry["id"] = of(number + 5)
    assert figures(evaluate(*write(tmp_path, gt, dt))) == figures(plain)
    for entry in gt["annotations"]:
        del entry["id"]
    assert figures(evaluate(*write(tmp_path, gt, dt))) == figures(plain)


def test_ids_of_two_kinds_in_one_file(tmp_path: Path, plain: Evaluation) -> None:
    mixed = renamed(lambda i: i if i % 2 else f"t{i:05}")
    found = evaluate(*write(tmp_path, *mixed))
    assert found.counts == plain.counts
    gt, dt = mixed
    gt["images"][0]["id"], gt["images"][1]["id"] = 5, 5.0
    with pytest.raises(WrongUsage, match=r"gt.json: two image entries have the id 5; ids must differ"):
        evaluate(*write(tmp_path, gt, dt))


def test_what_other_tools_add_is_no_fault(tmp_path: Path, plain: Evaluation) -> None:
    gt, dt = copy.deepcopy(PLAIN)
    for entry in [*gt["annotations"], *dt]:
        entry["segmentation"] = {"counts": "abc", "size": [1, 2]}
    gt["info"], gt["licenses"] = {"year": 2017}, []
    gt_file, dt_file = write(tmp_path, gt, dt)
    dt_file.write_bytes(b"\xef\xbb\xbf" + dt_file.read_bytes())
    assert figures(evaluate(gt_file, dt_file)) == figures(plain)
    dt_file.write_text("[]")
    found = evaluate(gt_file, dt_file)
    assert (found.coco.ap, found.notes_map_over_ious, found.detections) == (0, 0, 0)
    dt_file.write_text('{"annotations": []}')
    with pytest.raises(WrongUsage, match=r"Expected `array`, got `object`; detections are a list of {image_id, cat"):
        evaluate(gt_file, dt_file)

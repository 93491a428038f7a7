"""Images of one's own in a suite: to judge on, to train heads on, to take ranges from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import WrongUsage
from bench.records import Calibration, Case, LabelledImages, Training
from bench.suites.keys import ACCURACY_KEYS, CALIBRATE_KEYS, KEYS, PRECISIONS, TRAIN_KEYS
from bench.suites.known import backbones
from bench.suites.values import Location, check_table


def training(table: Mapping[str, Any], base: Path, where: Location) -> Training:
    """What a case's key `train` says; its path is taken from the suite file's folder.

    Without data and without images, the images are to be given when it is run.
    """
    at = where.of("train")
    check_table(at, table, TRAIN_KEYS)
    embedded = "data" in table
    useless = ("images", "preprocess", "fine_tune") if embedded else ("examples",)
    if not embedded and not table.get("fine_tune"):
        useless = (*useless, "epochs")
    for key in useless:
        if key in table:
            kind = "an embedded data set" if embedded else "images of your own"
            raise WrongUsage(f"{at}: {key} has no effect with {kind}; leave it out")
    if "images" not in table:
        return Training(**table)
    path = base / table["images"]
    if not path.is_dir():
        raise WrongUsage(f"{at}: images: there is no folder {path}")
    return Training(**dict(table) | {"images": str(path)})


def transferred(cases: Iterable[Case], images: str | None, weights: str | None) -> tuple[Case, ...]:
    """The cases with a head trained on images of one's own, on backbones with such weights; None: as a suite says.

    Args:
        cases: of a suite. Own files, and cases that are trained on embedded data, stay as they are.
        images: a folder of images.
        weights: "none", "imagenet", a weights file, or a folder of them by model.

    Raises WrongUsage for no folder, no case that can be trained, or a model without its file.
    """
    if images is not None and not Path(images).is_dir():
        raise WrongUsage(f"there is no folder {images}; give the folder of your images")
    chosen = []
    for case in cases:
        if not case.is_file and not (case.train and case.train.data):
            if case.train is None and images is not None:  # of a suite that is not about training, nor its weights
                case = replace(case, weights="imagenet") if case.weights == "none" else case
            if images is not None:
                training = replace(case.train or Training(), images=images)
                case = replace(case, train=training, head="notes", accuracy=None)
            if weights is not None:
                case = replace(case, weights=_weights_of(case, weights))
        chosen.append(case)
    if images is not None and not any(case.train and case.train.images for case in chosen):
        raise WrongUsage("--images trains heads on backbones; this suite has none that could be trained")
    return tuple(chosen)


def _weights_of(case: Case, weights: str) -> str:
    """The weights of one case out of what was asked for all of them."""
    folder = Path(weights)
    if weights in ("none", "imagenet") or folder.is_file():
        return weights
    if not folder.is_dir():
        raise WrongUsage(f"there is no weights file or folder {folder}; or give none or imagenet")
    wanted = (case.name, case.model)
    suffixes = (".weights.h5", "_notop.h5", ".h5", ".keras")
    for name in (f"{stem}{suffix}" for stem in wanted for suffix in suffixes):
        if (folder / name).is_file():
            return str(folder / name)
    raise WrongUsage(f"{folder} has no weights of {case.name}; put {case.model}.weights.h5 there, saved of the model "
                     "without its top, or leave it out with --model")  # fmt: skip


def calibrated(cases: Iterable[Case], folder: str, preprocess: str | None = None) -> tuple[Case, ...]:
    """The cases, those of a lower precision with their calibration images.

    Raises WrongUsage when there is no such folder, or no such case.
    """
    everything = tuple(cases)
    if all(case.precision == "fp32" for case in everything):
        raise WrongUsage(f"calibration images have no effect on fp32; give a precision, one of {', '.join(PRECISIONS)}")
    source = calibration({"images": folder, "preprocess": preprocess}, Path(), '"calibrate"')
    return tuple(case if case.precision == "fp32" else replace(case, calibrate=source) for case in everything)


def calibration(value: str | Mapping[str, Any], base: Path, at: str) -> Calibration:
    """What a case's key `calibrate` says; its path is taken from the suite file's folder."""
    table = {"images": value} if isinstance(value, str) else {k: v for k, v in value.items() if v is not None}
    check_table(at, table, CALIBRATE_KEYS)
    if "images" not in table:
        raise WrongUsage(f"{at} names no images; it must be {KEYS['calibrate'].says}")
    path = base / table["images"]
    if not path.is_dir():
        raise WrongUsage(f"{at}: there is no folder {path}; give the folder of the calibration images")
    return Calibration(images=str(path), preprocess=table.get("preprocess"))


def labelled_images(table: Mapping[str, Any], model: str, base: Path, where: Location) -> LabelledImages:
    """What a case's key `accuracy` says; its paths are taken from the suite file's folder."""
    at = where.of("accuracy")
    check_table(at, table, ACCURACY_KEYS)
    if "images" not in table:
        raise WrongUsage(f"{at} names no images; it must be {KEYS['accuracy'].says}")
    if table.get("crop", 1.0) > 1:
        raise WrongUsage(f"{at}: crop is {table['crop']}; it must be {ACCURACY_KEYS['crop'].says}")
    if table.get("resize") == "stretch" and table.get("crop", 1) != 1:
        raise WrongUsage(f"{at}: crop has no effect on images that are stretched; leave one of the two out")
    if "preprocess" not in table and "preprocess" not in backbones().get(model, {}):
        raise WrongUsage(f'{at}: how {model} wants its pixels is not known; add preprocess = "...", '
                         f"{ACCURACY_KEYS['preprocess'].says}")  # fmt: skip
    options = dict(table)
    for key, exists in (("images", Path.is_dir), ("labels", Path.is_file), ("classes", Path.is_file)):
        if key in table:
            path = base / table[key]
            if not exists(path):
                raise WrongUsage(f"{at}: {key}: there is no {'folder' if key == 'images' else 'file'} {path}")
            options[key] = str(path)
    return LabelledImages(**options)


def of_transfer(
    values: dict[str, Any], train: Training, about: Mapping[str, Any], model: str, where: Location
) -> dict[str, Any]:
    """The values of a case whose head is trained on images of one's own."""
    for key, why in (("classes", "follows from the images' folders"), ("accuracy", "is measured on held-out images")):
        if key in values:
            raise WrongUsage(f"{where.of(key)} {why} where train names images; leave it out")
    if values.get("head", "notes") != "notes":
        raise WrongUsage(f'{where.of("head")} is {values["head"]!r}; images of your own train the head "notes"')
    if train.images and not train.preprocess and "preprocess" not in about:
        raise WrongUsage(f"{where.of('train')}: how {model} wants its pixels is not known; add preprocess = \"...\", "
                         f"{ACCURACY_KEYS['preprocess'].says}")  # fmt: skip
    return {"weights": "imagenet"} | values | {"head": "notes"}

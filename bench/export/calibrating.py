"""Images from which a reduced precision takes its ranges, and others on which its agreement with fp32 is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import data
from bench.data import folders
from bench.errors import Failed, WrongUsage
from bench.models.file import file_sha256
from bench.suites import DATA_SETS, backbones

if TYPE_CHECKING:
    from bench.export.request import ExportRequest

SYNTHETIC = "synthetic"
"""Random images: enough to time a file, and nothing that a range or an agreement could be trusted with."""
OF_NOISE = (
    "int8's ranges come from random noise and not from images: its accuracy is unknown and may be far below fp32's; "
    "give images such as it will see with --calibrate DIR"
)
_SYNTHETIC_LIMIT = 64  # random images for the ranges, and as many others for the agreement
_OWN_LIMIT = 200  # images of one's own for the ranges, and as many others for the agreement
_MOST_BYTES = 300_000_000  # of images in memory for either
_LEAST = 8  # images for either: ranges of fewer are chance
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow and TensorFlow make grey
_SEED = 1  # not the one that random weights are settled with

Array = np.ndarray[Any, np.dtype[Any]]
Parts = tuple[Array, Array]


def files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images of a folder, in whatever folders below it: some for the ranges, and others, both spread over all.

    Raises WrongUsage when there are too few.
    """
    if not folder.is_dir():
        raise WrongUsage(f"there is no folder {folder}; give the folder of the calibration images")
    everything = folders.images(folder)
    if len(everything) < 2 * _LEAST:
        raise WrongUsage(
            f"{folder} holds {len(everything)} images; calibration needs {2 * _LEAST} or more, half of them to check it"
        )
    count = min(len(everything), 2 * _OWN_LIMIT)
    chosen = [everything[i * len(everything) // count] for i in range(count)]
    return chosen[::2], chosen[1::2]


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    return file_sha256(path)


def hashes(folder: Path) -> list[str]:
    """The SHA-256 of each file that is used of a folder, in order; a file is read again when it has changed."""
    return [_sha256(path, (about := path.stat()).st_size, about.st_mtime_ns) for part in files(folder) for path in part]


def parts(request: ExportRequest, shape: tuple[int, ...], dtype: str, *, takes_pixels: bool) -> Parts:
    """Inputs (n, *shape) of a model for its ranges, and others (m, *shape) for its agreement.

    `takes_pixels`: whether the model is known to scale pixels from 0 to 255 itself.
    """
    if request.images is not None:
        named = request.preprocess or backbones().get(request.model, {}).get("preprocess")
        return _own(Path(request.images), shape, dtype, named or ("included" if takes_pixels else None))
    if request.calibration in DATA_SETS:
        known = data.get(request.calibration)
        ranging, others = known.calibration(shape[0])
        return known.model_input(ranging), known.model_input(others)
    return _synthetic(request, shape, dtype, takes_pixels=takes_pixels)


def _own(folder: Path, shape: tuple[int, ...], dtype: str, preprocess: str | None) -> Parts:
    from bench.models.decoding import DECODER, Unreadable, decode
    from bench.models.preprocessing import batch_array, preprocessing, write

    channels = shape[2] if len(shape) == 3 else 1
    if len(shape) not in (2, 3) or channels not in (1, 3):
        raise Failed(
            f"an input of {'x'.join(map(str, shape))} takes no images of height x width x 1 or 3, so that images "
            "cannot set its ranges; leave out calibrate"
        )
    p = preprocessing(
        preprocess, height=shape[0], width=shape[1], layout="NHWC", dtype="uint8" if dtype == "uint8" else "float32",
        decoder=DECODER,
    )  # fmt: skip

    def loaded(paths: Sequence[Path]) -> Array:
        paths = paths[:: -(-len(paths) * 4 * math.prod(shape) // _MOST_BYTES)]
        batch, count = batch_array(len(paths), p), 0
        for path in paths:
            try:
                write(decode(path, p), batch[count], p)
            except Unreadable:
                continue
            count += 1
        if count < _LEAST:
            raise Failed(f"of the {len(paths)} images of {folder} that were chosen, only {count} can be read")
        batch = batch[:count]
        if channels == 1:
            grey = batch @ _LUMA
            batch = (grey.round() if p.dtype == "uint8" else grey)[..., None].astype(p.dtype)
        return batch.reshape(count, *shape).astype(dtype)

    ranging, others = files(folder)
    return loaded(ranging), loaded(others)


def _synthetic(request: ExportRequest, shape: tuple[int, ...], dtype: str, *, takes_pixels: bool) -> Parts:
    from bench.export import weights

    preprocess = backbones().get(request.model, {}).get("preprocess") or ("included" if takes_pixels else "torch")
    drawn = weights.images(2 * _SYNTHETIC_LIMIT, shape, preprocess, _SEED, dtype)
    return drawn[:_SYNTHETIC_LIMIT], drawn[_SYNTHETIC_LIMIT:]

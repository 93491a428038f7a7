"""The embedded data sets, one file each. `suites.DATA_SETS` names the files; such a file holds what `DataSet` says.

Networks are trained on a data set's training part, and judged on its held-out part by what its kind asks for: what
labels are, and who trains and judges, follows from the kind alone.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bench.errors import WrongUsage, suggestion
from bench.suites import DATA_SETS

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

COLUMNS = ("xmin", "ymin", "xmax", "ymax", "score", "class", "objectness")
"""What a localiser puts out for each image; corners as shares of its sides."""


@dataclass(frozen=True, slots=True)
class Objects:
    """At most one object an image."""

    present: NDArray[np.bool_]  # (n,)
    box: NDArray[np.float64]  # (n, 4), relative corners; zeros where there is none
    label: Labels  # (n,), from 0 on; 0 where there is none


class DataSet(Protocol):
    """One data set's file. Images are (n, size, size, 3); the same size gives the same images.

    Its functions raise Failed where what it is made of is not installed.
    """

    KIND: str  # "classes": truth is the labels (n,); "localisation": truth is Objects
    SOURCE: str  # what is said behind an accuracy that was measured on it
    CLASSES: int
    EXAMPLES: int  # training images, where a suite does not say
    EPOCHS: int  # likewise
    LEARNING_RATE: float

    def training(self, n: int, size: int, *, seed: int) -> tuple[Pixels, Any]:
        """So many images to train on, with their truth."""

    def validation(self, size: int) -> tuple[Pixels, Any] | None:
        """Images that choose the best epoch, with their truth; None: the last one is kept."""

    def held_out(self, size: int) -> tuple[Pixels, Any]:
        """Images to judge on, with their truth; nothing else sees them."""

    def calibration(self, size: int) -> tuple[Pixels, Pixels]:
        """Images that set the ranges of a reduced precision, and others on which its agreement is judged."""

    def model_input(self, images: Pixels) -> NDArray[np.float32]:
        """Images as networks take them: float32 of the same shape."""


def get(name: str) -> DataSet:
    """A data set by name. Raises WrongUsage for an unknown one."""
    if name not in DATA_SETS:
        raise WrongUsage(f'no data set "{name}"; {suggestion(name, DATA_SETS)}')
    return cast(DataSet, importlib.import_module(DATA_SETS[name]))


def file(name: str) -> Path:
    """The path of a data set's file. Raises WrongUsage for an unknown one."""
    return Path(inspect.getfile(cast(ModuleType, get(name))))


def signed(images: Pixels) -> NDArray[np.float32]:
    """Pixels as float32 from -1 to 1."""
    return images.astype(np.float32) / 127.5 - 1

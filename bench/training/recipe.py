"""All that decides what trained weights become."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from bench import data
from bench.errors import Failed, WrongUsage
from bench.models.file import file_sha256
from bench.records import Case

_LIBRARIES = ("tensorflow", "keras", "numpy", "scikit-learn")
_PACKAGE = Path(__file__).resolve().parent.parent


_CODE: dict[str, tuple[str, ...]] = {
    "classes": ("training/trainer.py", "data/__init__.py"),
    "localisation": ("training/trainer.py", "data/__init__.py", "detection/targets.py", "models/localization.py"),
}
"""The code that weights follow from beside that of the data set, by the data set's kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A network, the data that it is trained on, and how."""

    data: str  # one of suites.DATA_SETS
    model: str
    arguments: tuple[tuple[str, Any], ...] = ()
    input_size: int  # pixels a side
    head: str
    classes: int
    examples: int  # drawn from the training part, with changes; a number of images
    epochs: int
    batch_size: int = 32
    learning_rate: float
    seed: int = 0

    @property
    def key(self) -> str:
        """A hash of the recipe, the code that follows it and the versions of the libraries."""
        versions = {}
        for name in _LIBRARIES:
            try:
                versions[name] = version(name)
            except PackageNotFoundError as error:
                raise Failed(
                    f'training needs {name}; install it with `pip install "backbench[export,data]"`'
                ) from error
        known = data.get(self.data)
        files = [*(_PACKAGE / name for name in _CODE[known.KIND]), data.file(self.data)]
        code = [file_sha256(path) for path in files]
        content = msgspec.json.encode([asdict(self), versions, code])
        return hashlib.sha256(content).hexdigest()[:32]


def recipe(case: Case) -> Recipe:
    """The recipe of a suite's case with the key `train`.

    Raises WrongUsage for a case without it, or without an input size.
    """
    if case.train is None or case.train.data is None or case.input_shape is None:
        raise WrongUsage(f"{case.name} is not trained on embedded data: it needs train's `data`, and an input_size")
    usual = data.get(case.train.data)
    return Recipe(
        data=case.train.data,
        model=case.model,
        arguments=tuple(sorted(case.arguments.items())),
        input_size=case.input_shape[0],
        head=case.head,
        classes=case.classes,
        examples=case.train.examples or usual.EXAMPLES,
        epochs=case.train.epochs or usual.EPOCHS,
        learning_rate=usual.LEARNING_RATE,
    )

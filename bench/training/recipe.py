"""All that decides what trained weights become."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from bench.errors import Failed, WrongUsage
from bench.records import Case

_LIBRARIES = ("tensorflow", "keras", "numpy", "scikit-learn")
_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class _Data:
    """How long to train on an embedded data set by default, and the code that its weights follow from."""

    examples: int
    epochs: int
    learning_rate: float
    code: tuple[str, ...]


DATA: dict[str, _Data] = {
    "scenes": _Data(4000, 12, 0.003, ("data/scenes.py", "detection/targets.py", "models/localization.py")),
    "digits": _Data(3000, 8, 0.003, ("data/digits.py",)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A network, the data that it is trained on, and how."""

    data: str  # a key of DATA
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
        files = ("training/trainer.py", *DATA[self.data].code)
        code = {name: hashlib.sha256((_PACKAGE / name).read_bytes()).hexdigest() for name in files}
        content = msgspec.json.encode([asdict(self), versions, code])
        return hashlib.sha256(content).hexdigest()[:32]


def recipe(case: Case) -> Recipe:
    """The recipe of a suite's case with the key `train`.

    Raises WrongUsage for a case without it, or without an input size.
    """
    if case.train is None or case.input_shape is None:
        raise WrongUsage(f"{case.name} is not trained here: it needs `train` and an input_size")
    usual = DATA[case.train.data]
    return Recipe(
        data=case.train.data,
        model=case.model,
        arguments=tuple(sorted(case.arguments.items())),
        input_size=case.input_shape[0],
        head=case.head,
        classes=case.classes,
        examples=case.train.examples or usual.examples,
        epochs=case.train.epochs or usual.epochs,
        learning_rate=usual.learning_rate,
    )

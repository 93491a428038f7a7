"""Images that several files of tests judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.accuracy.sets import photo, photos

TEN = [str(number) for number in range(10)]


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of each of ten classes, of several sizes and shapes."""
    folder = photos(tmp_path_factory.mktemp("ten"), TEN, each=4)
    rng = np.random.default_rng(1)
    for number in TEN:
        photo(rng, (500, 375)).save(folder / number / "large.jpg")
        photo(rng, (90, 200)).save(folder / number / "tall.png")
    return folder

"""What a run's networks said of labelled images, as it lies beside the run: `accuracy/CASE.json`, one an evaluation."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import store
from bench.records import Run

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One class and its images."""

    name: str
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """An image whose first answer is wrong."""

    file: str  # relative to the folder of the images
    name: str  # the right class
    answer: str
    score: float  # of the answer, 0 to 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What one network said; of the evaluation, what figures need."""

    artifact_sha256: str
    images: str  # the folder
    images_sha256: str | None = None  # equal where networks were judged on the same ones
    n: int
    classes: tuple[Judged, ...]
    mistakes: tuple[Mistake, ...]

    @property
    def confusion(self) -> Counter[tuple[str, str]]:
        """How many images of a class were taken for which one: (right, answer) -> images."""
        counts = Counter((each.name, each.answer) for each in self.mistakes)
        wrong = Counter(each.name for each in self.mistakes)
        return counts + Counter({(of.name, of.name): of.n - wrong[of.name] for of in self.classes})


def of_run(run: Run, folder: Path | None) -> dict[str, Answers]:
    """The answers of each network that was judged on images, by its case's name; what cannot be read is logged."""
    found: dict[str, Answers] = {}
    for record in run.records if folder else ():
        path = (folder or Path()) / "accuracy" / f"{store.slug(record.case.name)}.json"
        try:
            answers = msgspec.json.decode(path.read_bytes(), type=Answers)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("skipped: %s cannot be read (%s)", path, error)
            continue
        if record.artifact and answers.artifact_sha256 == record.artifact.sha256:
            found[record.case.name] = answers
    return found


def missed_by_all(answers: dict[str, Answers]) -> list[tuple[Mistake, dict[str, str]]]:
    """The images that every one of several networks is wrong about, with each one's answer; the surest first.

    [] where there are fewer than two, or they were not judged on the same images.
    """
    if len(answers) < 2 or len({(each.images, each.images_sha256) for each in answers.values()}) > 1:
        return []
    by_file = {name: {mistake.file: mistake for mistake in each.mistakes} for name, each in answers.items()}
    shared = set.intersection(*(set(files) for files in by_file.values()))
    sure = {file: sum(files[file].score for files in by_file.values()) for file in shared}
    first = next(iter(by_file.values()))
    return [
        (first[file], {name: files[file].answer for name, files in by_file.items()})
        for file in sorted(shared, key=lambda file: (-sure[file], file))
    ]

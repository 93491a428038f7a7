"""The worker that fine-tunes a whole network: its backbone goes on learning after its head, on images of one's own.

Batch norm keeps its statistics, and rates are small: a backbone that is trained as if anew forgets what it knew. A part
of the training images, which the head has not seen either, chooses the best epoch, the untuned network among them, so
that fine-tuning never makes worse what it can see.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.export.request import ExportRequest
from bench.models.preprocessing import Preprocessing
from bench.store import write_atomically

RATE, BATCH_SIZE = 1e-4, 16
VALIDATION_SHARE = 0.15
_SEED = 0
_KNOWN = "epochs.json"


class Question(msgspec.Struct):
    """What to tune, on what."""

    request: ExportRequest  # of the network with its trained head
    preprocessing: Preprocessing  # NHWC, float32
    files: list[str]  # readable training images
    labels: list[int]
    validation: list[int]  # places of those that choose the epoch
    epochs: int
    target: str  # the weights to write (.weights.h5)


def answer(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """After every epoch its number, from 0 for the untuned network, and its accuracy (0 to 1) on the validation part.

    What was learnt lies beside the target after each of them; a killed process is taken up there.
    """
    question = msgspec.convert(asked, Question)
    import keras

    from bench.export.preparation import prepared

    keras.utils.set_random_seed(_SEED)
    place = Path(question.target).with_suffix(".tuning")
    place.mkdir(exist_ok=True)
    known, model = _taken_up(place)
    if model is None:
        model, known = prepared(question.request).model, []
        for layer in model._flatten_layers():
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        steps = question.epochs * -(-(len(question.files) - len(question.validation)) // BATCH_SIZE)
        rate = keras.optimizers.schedules.CosineDecay(0.1 * RATE, steps, warmup_target=RATE, warmup_steps=steps // 10)
        model.compile(
            optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-4), loss="sparse_categorical_crossentropy",
            metrics=["accuracy"], jit_compile=False,
        )  # fmt: skip
    apart = set(question.validation)
    training = [i for i in range(len(question.files)) if i not in apart]
    for epoch in range(question.epochs + 1):
        if epoch >= len(known):
            if epoch:
                _epoch(model, question, np.random.default_rng([_SEED, epoch]).permutation(training).tolist())
            known.append(_accuracy(model, question))
            if epoch:
                model.save(place / f"{epoch}.keras")
            model.save_weights(place / f"{epoch}.weights.h5")
            write_atomically(place / _KNOWN, msgspec.json.encode(known))  # last: what it does not know of is done again
            for name in [f"{epoch - 1}.keras", *(f"{i}.weights.h5" for i in range(epoch + 1) if i != _best(known))]:
                (place / name).unlink(missing_ok=True)
        yield {"epoch": epoch, "accuracy": known[epoch]}
    (place / f"{_best(known)}.weights.h5").replace(question.target)
    shutil.rmtree(place)


def _best(known: Sequence[float]) -> int:
    """The first of the most accurate epochs."""
    return max(range(len(known)), key=lambda epoch: (known[epoch], -epoch))


def _taken_up(place: Path) -> tuple[list[float], Any]:
    """The accuracies of the epochs that an earlier process came to the end of, and the network after the last of them;
    nothing where it came to none."""
    import keras

    kept = place / _KNOWN
    known: list[float] = msgspec.json.decode(kept.read_bytes()) if kept.is_file() else []
    whole = place / f"{len(known) - 1}.keras"
    return (known, keras.models.load_model(whole)) if whole.is_file() else ([], None)


def _epoch(model: Any, question: Question, order: Sequence[int]) -> None:
    for places, batch in _batches(question, order):
        model.train_on_batch(batch, np.array([question.labels[i] for i in places]))


def _accuracy(model: Any, question: Question) -> float:
    right = 0
    for places, batch in _batches(question, question.validation):
        said = np.asarray(model.predict_on_batch(batch)).argmax(axis=1)
        right += int((said == [question.labels[i] for i in places]).sum())
    return right / max(1, len(question.validation))


def _batches(question: Question, order: Sequence[int]) -> Iterator[tuple[Sequence[int], Any]]:
    """The images in that order, batch by batch; the next one is decoded while one is learnt."""
    from bench.models.decoding import decode
    from bench.models.preprocessing import batch_array, write

    p = question.preprocessing

    def made(places: Sequence[int]) -> Any:
        batch = batch_array(len(places), p)
        for row, place in zip(batch, places, strict=True):
            write(decode(Path(question.files[place]), p), row, p)
        return batch

    parts = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]
    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(made, part) for part in parts[:1]]
        for number, part in enumerate(parts):
            if number + 1 < len(parts):
                ahead.append(pool.submit(made, parts[number + 1]))
            yield part, ahead.pop(0).result()

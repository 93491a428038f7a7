"""The worker process that trains a network or runs an exported one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import Failed

THREADS = len(os.sched_getaffinity(0))

Pixels = NDArray[np.uint8]


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Do what the question's key `do` names, with the rest of it as arguments."""
    return VERBS[question.pop("do")](**question)


def train(recipe: dict[str, Any], target: str) -> dict[str, Any]:
    """Train a network and write the weights of the graph that is exported to `target`.

    Where the data have a validation part, the weights are those of the epoch that did best on it.
    """
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(recipe["seed"])
    lesson = LESSONS[recipe["data"]](recipe)
    n, batch = len(lesson.images), recipe["batch_size"]
    for layer in lesson.model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # the usual 0.99 and 0.999 lag behind in so few steps
    steps = recipe["epochs"] * (n // batch)
    rate = keras.optimizers.schedules.CosineDecay(
        0.1 * recipe["learning_rate"], steps, warmup_target=recipe["learning_rate"], warmup_steps=steps // 20
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4)
    metrics = ["accuracy"] if lesson.validation else None
    lesson.model.compile(optimizer=optimizer, loss=lesson.loss, metrics=metrics, jit_compile=False)

    def batches(images: Pixels, truth: Any) -> Any:
        return tf.data.Dataset.from_tensor_slices((images, truth))

    def scaled(image: Any, truth: Any) -> Any:
        return tf.cast(image, tf.float32) / 127.5 - 1, truth

    history = lesson.model.fit(
        batches(lesson.images, lesson.truth)
        .shuffle(n, seed=recipe["seed"])
        .batch(batch, drop_remainder=True)
        .map(scaled)
        .prefetch(2),
        epochs=recipe["epochs"],
        validation_data=batches(*lesson.validation).batch(batch).map(scaled) if lesson.validation else None,
        callbacks=[_best_epoch(recipe["epochs"])] if lesson.validation else [],
        verbose=0,
    )
    whole = Path(target).with_name(f"{os.getpid()}.weights.h5")
    try:
        lesson.exported.save_weights(whole)
        whole.replace(target)
    finally:
        whole.unlink(missing_ok=True)
    return {"loss": float(history.history["loss"][-1])}


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What to train, on what, against what."""

    images: Pixels  # (n, size, size, 3)
    truth: Any
    model: Any  # a keras.Model
    loss: Any
    exported: Any  # the keras.Model that is exported; shares the weights
    validation: tuple[Pixels, Any] | None = None


def _scenes(recipe: dict[str, Any]) -> _Lesson:
    from bench.data import scenes
    from bench.detection import targets
    from bench.models import localization

    size = recipe["input_size"]
    if recipe["model"] != localization.BUILDER:
        raise Failed(f'scenes train a localiser, not {recipe["model"]}; use model = "{localization.BUILDER}"')
    drawn = scenes.scenes("train", recipe["examples"], size, seed=recipe["seed"])
    truth = targets.encode(drawn.present, drawn.box, drawn.label, scenes.CLASSES).astype("float32")
    given = dict(recipe["arguments"])
    model = localization.predictor(given.pop("backbone"), (size, size, 3), scenes.CLASSES, given)
    return _Lesson(drawn.image, truth, model, localization.loss, localization.decoded(model))


def _digits(recipe: dict[str, Any]) -> _Lesson:
    from bench import models
    from bench.data import digits

    size = recipe["input_size"]
    model = models.build(
        recipe["model"], arguments=dict(recipe["arguments"]), input_shape=(size, size, 3), head=recipe["head"],
        classes=recipe["classes"],
    )  # fmt: skip
    images, labels = digits.varied(recipe["examples"], size, seed=recipe["seed"])
    return _Lesson(images, labels, model, "sparse_categorical_crossentropy", model, digits.part("validation", size))


LESSONS: dict[str, Callable[[dict[str, Any]], _Lesson]] = {"scenes": _scenes, "digits": _digits}


def _best_epoch(epochs: int) -> Any:
    import keras

    return keras.callbacks.EarlyStopping(
        "val_accuracy", mode="max", patience=epochs, restore_best_weights=True, start_from_epoch=epochs // 2
    )


def outputs(path: str, runtime: str, data: str, n: int, seed: int) -> dict[str, Any]:
    """Run an exported network on the test part of its data: one row of output for each image, taken one by one."""
    from bench import runtimes

    known = runtimes.get(runtime)
    session = known.load(path, {"provider": known.DEVICES["cpu"], "threads": THREADS})
    name, _, shape = session.inputs[0]
    size = int(shape[1] or 0)
    images = TESTS[data](n, size, seed).astype(np.float32) / 127.5 - 1
    rows = [session.run({name: images[i : i + 1]})[0] for i in range(len(images))]
    return {"size": size, "rows": np.concatenate(rows).astype(float).tolist()}


def _test_scenes(n: int, size: int, seed: int) -> Pixels:
    from bench.data import scenes

    return scenes.scenes("test", n, size, seed=seed).image


def _test_digits(n: int, size: int, seed: int) -> Pixels:
    from bench.data import digits

    return digits.part("test", size)[0][:n]


TESTS: dict[str, Callable[[int, int, int], Pixels]] = {"scenes": _test_scenes, "digits": _test_digits}
VERBS: dict[str, Callable[..., dict[str, Any]]] = {"train": train, "outputs": outputs}

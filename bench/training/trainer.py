"""The worker process that trains a network or runs an exported one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import data
from bench.data import DataSet, Objects, Pixels
from bench.errors import Failed

THREADS = len(os.sched_getaffinity(0))


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
    known = data.get(recipe["data"])
    lesson = LESSONS[known.KIND](recipe, known)
    images, truth = known.training(recipe["examples"], recipe["input_size"], seed=recipe["seed"])
    validation = known.validation(recipe["input_size"])
    n, batch = len(images), recipe["batch_size"]
    for layer in lesson.model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # the usual 0.99 and 0.999 lag behind in so few steps
    steps = recipe["epochs"] * (n // batch)
    rate = keras.optimizers.schedules.CosineDecay(
        0.1 * recipe["learning_rate"], steps, warmup_target=recipe["learning_rate"], warmup_steps=steps // 20
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4)
    metrics = ["accuracy"] if validation else None
    lesson.model.compile(optimizer=optimizer, loss=lesson.loss, metrics=metrics, jit_compile=False)

    def batches(images: Pixels, truth: Any) -> Any:
        return tf.data.Dataset.from_tensor_slices((images, lesson.targets(truth)))

    def scaled(images: Any, truth: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(known.model_input, [images], tf.float32), images.shape), truth

    history = lesson.model.fit(
        batches(images, truth)
        .shuffle(n, seed=recipe["seed"])
        .batch(batch, drop_remainder=True)
        .map(scaled)
        .prefetch(2),
        epochs=recipe["epochs"],
        validation_data=batches(*validation).batch(batch).map(scaled) if validation else None,
        callbacks=[_best_epoch(recipe["epochs"])] if validation else [],
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
    """What to train, and against what."""

    model: Any  # a keras.Model
    loss: Any
    exported: Any  # the keras.Model that is exported; shares the weights
    targets: Callable[[Any], Any]  # from a data set's truth, (n, ...)


def _localiser(recipe: dict[str, Any], known: DataSet) -> _Lesson:
    from bench.detection import targets
    from bench.models import localization

    size = recipe["input_size"]
    if recipe["model"] != localization.BUILDER:
        raise Failed(f'{recipe["data"]} train a localiser, not {recipe["model"]}; use model = "{localization.BUILDER}"')
    given = dict(recipe["arguments"])
    model = localization.predictor(given.pop("backbone"), (size, size, 3), known.CLASSES, given)

    def targets_of(truth: Objects) -> Any:
        return targets.encode(truth.present, truth.box, truth.label, known.CLASSES).astype("float32")

    return _Lesson(model, localization.loss, localization.decoded(model), targets_of)


def _classifier(recipe: dict[str, Any], known: DataSet) -> _Lesson:
    from bench import models

    size = recipe["input_size"]
    model = models.build(
        recipe["model"], arguments=dict(recipe["arguments"]), input_shape=(size, size, 3), head=recipe["head"],
        classes=recipe["classes"],
    )  # fmt: skip
    return _Lesson(model, "sparse_categorical_crossentropy", model, lambda labels: labels)


LESSONS: dict[str, Callable[[dict[str, Any], DataSet], _Lesson]] = {
    "classes": _classifier, "localisation": _localiser,
}  # fmt: skip
"""By the kinds of data sets."""


def _best_epoch(epochs: int) -> Any:
    import keras

    return keras.callbacks.EarlyStopping(
        "val_accuracy", mode="max", patience=epochs, restore_best_weights=True, start_from_epoch=epochs // 2
    )


def outputs(path: str, runtime: str, name: str) -> dict[str, Any]:
    """Run an exported network on the held-out part of a data set: a row of output for each image, one by one."""
    from bench import runtimes

    loaded, known = runtimes.get(runtime), data.get(name)
    session = loaded.load(path, {"provider": loaded.DEVICES["cpu"], "threads": THREADS})
    given, _, shape = session.inputs[0]
    size = int(shape[1] or 0)
    images = known.model_input(known.held_out(size)[0])
    rows = [session.run({given: images[i : i + 1]})[0] for i in range(len(images))]
    return {"size": size, "rows": np.concatenate(rows).astype(float).tolist()}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {"train": train, "outputs": outputs}

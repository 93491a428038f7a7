"""The worker process that trains a localiser or runs an exported one: JSON in on stdin, JSON out on stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.detection import scenes, targets
from bench.errors import BenchError

THREADS = len(os.sched_getaffinity(0))


def main() -> None:
    """Answer one question. Nothing else reaches stdout: file descriptor 1 is moved away first."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the same weights on every machine, as far as that goes
    question = json.load(sys.stdin)
    try:
        answer = VERBS[question.pop("do")](**question)
    except BenchError as error:
        answer = {"error": str(error)}
    except Exception as error:
        # Whatever a library raises concerns this model alone; it is reported as its reason.
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
    answers.write(json.dumps(answer))
    answers.close()


def train(recipe: dict[str, Any], target: str) -> dict[str, Any]:
    """Train a localiser and write the weights of its decoded graph to `target`."""
    import keras
    import tensorflow as tf

    from bench.detection import localization

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(recipe["seed"])
    size, n, batch = recipe["input_size"], recipe["scenes"], recipe["batch_size"]
    drawn = scenes.scenes("train", n, size, seed=recipe["seed"])
    y = targets.encode(drawn.present, drawn.box, drawn.label, scenes.CLASSES).astype("float32")
    model = localization.predictor(recipe["backbone"], (size, size, 3), scenes.CLASSES, dict(recipe["arguments"]))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # the usual 0.99 and 0.999 lag behind in so few steps
    steps = recipe["epochs"] * (n // batch)
    rate = keras.optimizers.schedules.CosineDecay(
        0.1 * recipe["learning_rate"], steps, warmup_target=recipe["learning_rate"], warmup_steps=steps // 20
    )
    model.compile(optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-4), loss=localization.loss, jit_compile=False)
    batches = (
        tf.data.Dataset.from_tensor_slices((drawn.image, y))
        .shuffle(n, seed=recipe["seed"])
        .batch(batch, drop_remainder=True)
        .map(lambda image, truth: (tf.cast(image, tf.float32) / 127.5 - 1, truth))
        .prefetch(2)
    )
    history = model.fit(batches, epochs=recipe["epochs"], verbose=0)
    whole = Path(target).with_name(f"{os.getpid()}.weights.h5")
    try:
        localization.decoded(model).save_weights(whole)
        whole.replace(target)
    finally:
        whole.unlink(missing_ok=True)
    return {"loss": float(history.history["loss"][-1])}


def detect(onnx: str, n: int, seed: int) -> dict[str, Any]:
    """Run an exported localiser on test scenes: one row of decoded output for each."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    size = given.shape[1]
    images = scenes.model_input(scenes.scenes("test", n, size, seed=seed).image)
    rows = [session.run(None, {given.name: images[i : i + 1]})[0] for i in range(n)]
    return {"size": size, "rows": np.concatenate(rows).astype(float).tolist()}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {"train": train, "detect": detect}

if __name__ == "__main__":
    main()

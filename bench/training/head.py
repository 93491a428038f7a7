"""The worker that trains heads on features: multinomial logistic regression, as scikit-learn fits it.

Features are standardised; what that does to them is folded into the values of the dense layer, which therefore says of
every image what scikit-learn does.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import Failed

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # C of the regularisation, the strongest first: of equals, it is taken
FOLDS = 3
_ITERATIONS, _TOLERANCE = 1000, 1e-3
_NEVER = -1e3  # the logit of a class without training images

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Train a head and write its values; `question`: the arguments of `train`."""
    return train(**question)


def train(features: str, classes: int, subsets: list[list[int]], target: str) -> dict[str, Any]:
    """Train heads on subsets of the training images, the last of them all; write the last one's dense layer.

    Args:
        features: a file (.npz) with `training` and `held_out` (n, features), and `training_labels` and
            `held_out_labels` (n,).
        classes: how many there are; some may have no training images.
        subsets: places of the training images, for each subset.
        target: the file (.npz) to write: `kernel` (features, classes) and `bias` (classes,), float32.

    Returns the strength of the regularisation, the mean accuracy of the cross-validation and whether the solver came to
    its end for the last subset, and of each subset how many held-out images its head has right.
    """
    with np.load(features) as arrays:
        x, y = arrays["training"].astype(np.float64), arrays["training_labels"]
        held_out, truth = arrays["held_out"].astype(np.float64), arrays["held_out_labels"]
    right: list[int] = []
    for subset in subsets:
        scaler, regression, strength, validated = fit(x[subset], y[subset])
        kernel, bias = dense(scaler, regression, classes)
        right.append(int((np.argmax(held_out @ kernel + bias, axis=1) == truth).sum()))
    whole = Path(target).with_name(f"{os.getpid()}.npz")
    try:
        np.savez(whole, kernel=kernel.astype(np.float32), bias=bias.astype(np.float32))
        whole.replace(target)
    finally:
        whole.unlink(missing_ok=True)
    converged = bool(np.max(regression.n_iter_) < _ITERATIONS)
    return {"strength": strength, "validated": validated, "right": right, "converged": converged}


def fit(x: Floats, y: Labels) -> tuple[Any, Any, float, float]:
    """A fitted scaler, a fitted regression, its strength C, and the mean accuracy of the cross-validation (0 to 1).

    C is that of the most accurate folds, stratified; of a class with one image C is 1, and the accuracy that on the
    images themselves. Classes weigh the same however many images they have. Raises Failed without scikit-learn, or with
    images of one class.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
        from sklearn.model_selection import StratifiedKFold
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise Failed('heads are trained by scikit-learn; install it with `pip install "backbench[data]"`') from error
    counts = np.unique(y, return_counts=True)[1]
    if len(counts) < 2:
        raise Failed("all training images that can be read are of one class; give images of two or more")
    scaler = StandardScaler().fit(x)
    scaled = scaler.transform(x)
    how = {"class_weight": "balanced", "max_iter": _ITERATIONS, "tol": _TOLERANCE}
    folds = min(FOLDS, int(counts.min()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (ConvergenceWarning, FutureWarning))
        if folds < 2:
            fitted = LogisticRegression(C=1.0, **how).fit(scaled, y)
            return scaler, fitted, 1.0, float(fitted.score(scaled, y))
        divided = StratifiedKFold(folds, shuffle=True, random_state=0)
        fitted = LogisticRegressionCV(Cs=STRENGTHS, cv=divided, scoring="accuracy", **how).fit(scaled, y)
    scores = np.mean(next(iter(fitted.scores_.values())), axis=0)  # the same for every class
    return scaler, fitted, float(fitted.C_[0]), float(scores.max())


def dense(scaler: Any, regression: Any, classes: int) -> tuple[Floats, Floats]:
    """The kernel (features, classes) and bias (classes,) of the softmax layer that says what both of them say."""
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:  # one logit, of the second class against the first
        coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
    scaled = coefficients / scaler.scale_
    kernel, bias = np.zeros((scaled.shape[1], classes)), np.full(classes, _NEVER)
    kernel[:, regression.classes_] = scaled.T
    bias[regression.classes_] = intercepts - scaled @ scaler.mean_
    return kernel, bias

"""A file fetched by Keras's own downloader, which checks it: the worker that does it."""

from __future__ import annotations

from typing import Any


def answer(question: dict[str, Any]) -> str:
    """The path of the file; `question`: the arguments of `keras.utils.get_file`."""
    import keras

    return str(keras.utils.get_file(**question))

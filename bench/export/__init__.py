"""Keras models to ONNX files: made in worker processes, checked against Keras, cached by content."""

from __future__ import annotations

from bench.export.own import artifact_of_file, completed, sized
from bench.export.pool import Exported, ExportFailure, export
from bench.export.request import INTEGERS, ExportRequest, integers, request

__all__ = [
    "INTEGERS",
    "ExportFailure",
    "ExportRequest",
    "Exported",
    "artifact_of_file",
    "completed",
    "export",
    "integers",
    "request",
    "sized",
]

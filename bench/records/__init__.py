"""The nouns that the rooms hand on to each other: frozen, typed, units in the field names.

`run.json` is exactly a `Run` encoded as JSON; a field that does not apply is null.
"""

from __future__ import annotations

from bench.records.case import (
    Arguments,
    Calibration,
    Case,
    LabelledImages,
    LoadAsked,
    PlannedCase,
    Training,
)
from bench.records.comparison import (
    VERDICTS,
    Comparison,
    QuantityChange,
    Verdict,
)
from bench.records.fleet import Fleet, Member
from bench.records.load import (
    Load,
    LoadDrift,
    LoadPoint,
    LoadSetup,
    LoadStep,
)
from bench.records.numbers import (
    Amount,
    AtLeastZero,
    Count,
    Percent,
    Positive,
)
from bench.records.record import (
    Accuracy,
    Artifact,
    Cost,
    CurvePoint,
    DetectionAccuracy,
    Fidelity,
    Health,
    KindCost,
    Measurement,
    Metered,
    PublishedAccuracy,
    Record,
    Timed,
    Transfer,
    Visit,
)
from bench.records.run import (
    INTERRUPTED,
    SCHEMA_VERSION,
    Doubt,
    Machine,
    Roofline,
    Run,
    Settings,
    Trust,
)

__all__ = [
    "INTERRUPTED", "SCHEMA_VERSION", "VERDICTS", "Accuracy", "Amount", "Arguments", "Artifact", "AtLeastZero",
    "Calibration", "Case", "Comparison", "Cost", "Count", "CurvePoint", "DetectionAccuracy", "Doubt", "Fidelity",
    "Fleet", "Health", "KindCost", "LabelledImages", "Load", "LoadAsked", "LoadDrift", "LoadPoint", "LoadSetup",
    "LoadStep", "Machine", "Measurement", "Member", "Metered", "Percent", "PlannedCase", "Positive",
    "PublishedAccuracy", "QuantityChange", "Record", "Roofline", "Run", "Settings", "Timed", "Training", "Transfer",
    "Trust", "Verdict", "Visit",
]  # fmt: skip

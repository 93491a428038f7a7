"""The look of each family of backbones: one hue and one shape, the same in every figure."""

from __future__ import annotations

from bench.records import Case
from bench.suites import facts

OTHER = "other"

# Okabe and Ito's colours and Paul Tol's, told apart with the common kinds of colour blindness; the shape is the second
# cue. Both themes' backgrounds give each at least 3:1.
_LOOKS = {
    "ResNet": ("#0072B2", "circle"),
    "ResNetV2": ("#332288", "circle-cross"),
    "VGG": ("#D55E00", "square"),
    "Inception": ("#009E73", "diamond"),
    "Inception-ResNet": ("#44AA99", "pentagon"),
    "Xception": ("#AA4499", "hexagon"),
    "MobileNet": ("#E69F00", "circle"),
    "MobileNetV2": ("#B8860B", "triangle-up"),
    "MobileNetV3": ("#CC6677", "triangle-down"),
    "EfficientNet": ("#56B4E9", "star"),
    "EfficientNetV2": ("#4477AA", "star-square"),
    "DenseNet": ("#CC79A7", "cross"),
    "NASNet": ("#999933", "x"),
    "ResNeXt": ("#6A5ACD", "hourglass"),
    "ConvNeXt": ("#882255", "bowtie"),
    OTHER: ("#808080", "circle"),
}


def family(case: Case) -> str:
    """The family of a case's model; "other" for a user's own."""
    return str(facts().get(case.model, {}).get("family", OTHER))


def hue(name: str) -> str:
    """A family's colour."""
    return _LOOKS.get(name, _LOOKS[OTHER])[0]


def shape(name: str) -> str:
    """A family's marker, in Plotly's names."""
    return _LOOKS.get(name, _LOOKS[OTHER])[1]


def in_order(names: set[str]) -> list[str]:
    """Families in a fixed order."""
    known = list(_LOOKS)
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))

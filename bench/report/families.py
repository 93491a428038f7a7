"""The look of each family of backbones: one hue and one shape, the same in every figure."""

from __future__ import annotations

from bench.records import Case
from bench.suites import facts

OTHER = "other"

# After Okabe and Ito's colours and Paul Tol's, shifted until both themes' backgrounds give each at least 3:1 (tested).
# So many hues cannot all be told apart with every kind of colour blindness: the shape is the second cue.
_LOOKS = {
    "ResNet": ("#0072B2", "circle"),
    "ResNetV2": ("#8A5FBF", "circle-cross"),
    "VGG": ("#D55E00", "square"),
    "Inception": ("#009E73", "diamond"),
    "Inception-ResNet": ("#2F9A8A", "pentagon"),
    "Xception": ("#AA4499", "hexagon"),
    "MobileNet": ("#CC8400", "circle"),
    "MobileNetV2": ("#96700A", "triangle-up"),
    "MobileNetV3": ("#CC6677", "triangle-down"),
    "EfficientNet": ("#2E98D4", "star"),
    "EfficientNetV2": ("#4477AA", "star-square"),
    "DenseNet": ("#CC79A7", "cross"),
    "NASNet": ("#8F8F2A", "x"),
    "ResNeXt": ("#5468D4", "hourglass"),
    "ConvNeXt": ("#B8376F", "bowtie"),
    OTHER: ("#808080", "circle"),
}


def family(case: Case) -> str:
    """The family of a case's model, or of the backbone in a localiser; "other" for a user's own."""
    return str(facts().get(case.arguments.get("backbone", case.model), {}).get("family", OTHER))


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

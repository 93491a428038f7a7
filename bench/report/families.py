"""The look of each family of backbones: one hue and one shape, the same in every figure."""

from __future__ import annotations

from bench.records import Case
from bench.suites import backbones

OTHER = "other"

# Chosen as far apart from each other and from grey as both themes' backgrounds allow, each of which gives every hue at
# least 3:1 (tested). So many hues cannot all be told apart with every kind of colour blindness: the shape is the second
# cue, and no two families share one.
_LOOKS = {
    "ResNet": ("#0069A5", "circle"),
    "ResNetV2": ("#A578FF", "diamond-wide"),
    "VGG": ("#FF1E00", "square"),
    "Inception": ("#00783C", "diamond"),
    "Inception-ResNet": ("#B42D78", "pentagon"),
    "Xception": ("#784BC3", "x"),
    "MobileNet": ("#C38700", "triangle-up"),
    "MobileNetV2": ("#B400FF", "triangle-down"),
    "MobileNetV3": ("#5AA500", "triangle-right"),
    "EfficientNet": ("#0F96F0", "star"),
    "EfficientNetV2": ("#A54B00", "hexagram"),
    "DenseNet": ("#FF1E96", "cross"),
    "NASNet": ("#FF1EFF", "bowtie"),
    "ResNeXt": ("#D27896", "hourglass"),
    "ConvNeXt": ("#005AFF", "triangle-left"),
    OTHER: ("#808080", "hexagon"),
}


def family(case: Case) -> str:
    """The family of a case's model, or of the backbone in a localiser; "other" for a user's own."""
    return str(backbones().get(case.arguments.get("backbone", case.model), {}).get("family", OTHER))


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

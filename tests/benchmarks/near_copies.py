"""How far apart the thumbnails of one photograph's copies are, and those of different images: the ground of
`likeness.NEAR`.

Copies are made of scikit-learn's two photographs (640 x 427): other sizes, qualities and formats. Other photographs are
a crop, a flip and another exposure of them, and, for each of its 1,797 digits, the nearest other one.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits, load_sample_images

from bench.data.likeness import NEAR, SIDE

Picture = Image.Image


def encoded(kind: str, **options: int) -> Callable[[Picture], Picture]:
    def copy(picture: Picture) -> Picture:
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        return Image.open(buffer).convert("RGB")

    return copy


COPIES: dict[str, Callable[[Picture], Picture]] = {
    "JPEG quality 90": encoded("JPEG", quality=90),
    "JPEG quality 50": encoded("JPEG", quality=50),
    "JPEG quality 20": encoded("JPEG", quality=20),
    "WebP quality 60": encoded("WEBP", quality=60),
    "half the size": lambda picture: picture.resize((320, 213)),
    "a tenth of the size": lambda picture: picture.resize((64, 43)),
    "nearest, a third": lambda picture: picture.resize((213, 142), Image.Resampling.NEAREST),
}
OTHERS: dict[str, Callable[[Picture], Picture]] = {
    "cropped by 2 %": lambda picture: picture.crop((12, 8, 628, 419)),
    "cropped by 10 %": lambda picture: picture.crop((64, 42, 576, 385)),
    "flipped": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "5 % brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.05),
}


def thumbnail(picture: Picture) -> np.ndarray:
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).reshape(-1)


def apart(a: Picture, b: Picture) -> float:
    return float(np.sqrt(((thumbnail(a) - thumbnail(b)) ** 2).mean()))


def main() -> None:
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    for title, kinds in (("copies", COPIES), ("others", OTHERS)):
        for name, change in kinds.items():
            each = ", ".join(f"{apart(picture, change(picture)):.2f}" for picture in photographs)
            print(f"{title}: {name}: {each} levels")
    digits = (load_digits().images * (255 / 16)).astype(np.float32).reshape(1797, -1)
    squares = ((digits[:, None, :] - digits[None, :, :]) ** 2).mean(2)
    np.fill_diagonal(squares, np.inf)
    nearest = np.sqrt(squares.min(1))
    print(f"others: the nearest other digit: {nearest.min():.2f} at least, {np.quantile(nearest, 0.01):.2f} for 1 %")
    print(f"the same photograph: up to {NEAR} levels")


if __name__ == "__main__":
    main()

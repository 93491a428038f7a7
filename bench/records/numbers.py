"""Numbers that a stored file may hold; one that holds others is damaged."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Positive = Annotated[float, Meta(ge=1e-9, le=1e12)]
AtLeastZero = Annotated[float, Meta(ge=0, le=1e12)]
Count = Annotated[int, Meta(ge=1, le=1 << 40)]
Amount = Annotated[int, Meta(ge=0, le=1 << 60)]
Percent = Annotated[float, Meta(ge=0, le=100)]

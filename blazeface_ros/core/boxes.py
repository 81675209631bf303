"""Pairwise geometry of boxes (x0, y0, x1, y1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


def areas(boxes: Array) -> Array:
    """The area of each of boxes [N, 4]: [N]."""
    result: Array = np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1)
    return result


def intersections(first: Array, second: Array) -> Array:
    """The area that each of boxes [M, 4] shares with each of others [N, 4]: [M, N]."""
    a, b = first[:, None], second[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared: Array = np.prod(np.maximum(sides, 0), axis=-1)
    return shared


def iou(first: Array, second: Array) -> Array:
    """Intersection over union of each of boxes [M, 4] with each of others [N, 4]: [M, N]."""
    shared = intersections(first, second)
    union = areas(first)[:, None] + areas(second) - shared
    # Boxes without area must not divide by zero.
    ratio: Array = shared / np.maximum(union, union.dtype.type(1e-9))
    return ratio

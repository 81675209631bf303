"""Paths and checks that tests of several folders share.

They are not in conftest.py, since a folder below may have a conftest.py of its own, and then
`import conftest` may mean either of them.
"""

from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / 'pictures'


def intersection_over_union(first, second):
    """The intersection over union of two boxes x0, y0, x1, y1."""
    width, height = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = max(width, 0) * max(height, 0)
    areas = [np.prod(np.subtract(box[2:], box[:2])) for box in (first, second)]
    return shared / (sum(areas) - shared)


def found_closely(detector, pixels, box):
    """Whether a detector that sees only the surroundings of a face finds it there."""
    size = int(5 * (box[2] - box[0]))
    x, y = (max(0, int((low + high - size) / 2)) for low, high in (box[::2], box[1::2]))
    surroundings = np.ascontiguousarray(pixels[y : y + size, x : x + size])
    boxes = detector.detect(surroundings).boxes + np.array([x, y, x, y])
    return any(intersection_over_union(found, box) > 0.4 for found in boxes)

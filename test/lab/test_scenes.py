"""Large pictures with small faces, made for measuring."""

import numpy as np
import pytest
from shared import found_closely

from blazeface_ros.errors import ConfigurationError
from blazeface_ros.lab.evaluation import count
from blazeface_ros.lab.ground_truth import GroundTruth
from blazeface_ros.lab.scenes import HEIGHT, WIDTH, far_scenes


@pytest.mark.parametrize('width', [24, 48, 72])
def test_far_faces_have_the_width_asked_for_and_each_is_shown_once(detector, samples, width):
    scenes = list(far_scenes(samples, width))
    shown = 0
    for pixels, truth in scenes:
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        demanded = ~truth.ignored
        shown += demanded.sum()
        assert np.abs(truth.widths[demanded] - width).min() < 0.01 * width
        assert (np.abs(truth.widths[demanded] - width) < 0.16 * width).all()
        assert (truth.boxes[demanded] >= 0).all()
        assert (truth.boxes[demanded] <= (WIDTH, HEIGHT, WIDTH, HEIGHT)).all()
        assert all(found_closely(detector, pixels, box) for box in truth.boxes[demanded])
    assert shown == 6


def test_photos_are_never_enlarged(samples):
    (truth,) = [truth for _, truth in far_scenes(samples, 150)]
    assert (~truth.ignored).sum() == 1  # five of the six faces are narrower
    assert not list(far_scenes(samples, 300))


def test_a_photo_larger_than_the_scene_is_cropped_around_the_face(samples):
    pixels, truth = samples[0]
    large = np.tile(pixels, (3, 3, 1))
    corner = GroundTruth.from_lists(truth.boxes[:1] + np.tile((2560, 1440), 2))
    for seed in range(3):
        ((scene, shown),) = far_scenes([(large, corner)], int(corner.widths[0]), seed)
        assert not shown.ignored[0]
        x0, y0, x1, y1 = shown.boxes[0].round().astype(int)
        left, top = corner.boxes[0, :2].round().astype(int)
        original = large[top : top + y1 - y0, left : left + x1 - x0].astype(int)
        assert np.abs(scene[y0:y1, x0:x1] - original).mean() < 6


def test_the_same_seed_makes_the_same_scene_and_another_another(samples):
    (first, truth), (again, _), (other, _) = (next(far_scenes(samples, 32, s)) for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert truth.boxes.dtype == truth.keypoints.dtype == np.float32
    with pytest.raises(ConfigurationError, match='width is 0;'):
        next(far_scenes(samples, 0))


def test_the_background_shows_no_faces(detector, samples):
    for scene, truth in far_scenes(samples, 32):
        faces = detector.detect(scene)
        assert count([truth], [faces]).false_positives == 0

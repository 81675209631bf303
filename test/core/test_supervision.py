"""Faces as detections of the package supervision."""

import sys

import numpy as np
import pytest
import supervision

from blazeface_ros import Faces

pytestmark = pytest.mark.supervision

THREE = Faces.from_points(
    np.arange(48, dtype=np.float32).reshape(3, 8, 2), [0.9, 0.7, 0.5], ('f0001', 'f0002', 'f10003')
)


def test_supervision_takes_over_boxes_scores_keypoints_and_ids():
    detections = THREE.to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert len(detections) == 3
    np.testing.assert_array_equal(detections.xyxy, THREE.boxes)
    np.testing.assert_array_equal(detections.confidence, THREE.scores)
    assert detections.class_id.tolist() == [0, 0, 0]
    assert detections.tracker_id.tolist() == [1, 2, 10003]
    np.testing.assert_array_equal(detections.data['keypoints'], THREE.keypoints)
    assert detections.data['id'].tolist() == list(THREE.ids)
    best = detections[detections.confidence > 0.8]
    np.testing.assert_array_equal(best.data['keypoints'], THREE.keypoints[:1])
    assert best.data['id'].tolist() == ['f0001']


def test_supervision_draws_faces_and_has_no_tracker_ids_for_untracked_ones():
    detections = Faces.from_points(THREE.points, THREE.scores).to_supervision()
    assert detections.tracker_id is None
    canvas = np.zeros((64, 64, 3), np.uint8)
    drawn = supervision.BoxAnnotator().annotate(canvas.copy(), detections)
    assert (drawn != canvas).any()


def test_supervision_also_takes_no_faces():
    detections = Faces.empty().to_supervision()
    assert len(detections) == 0
    assert detections.xyxy.shape == (0, 4)
    assert detections.tracker_id is None
    together = supervision.Detections.merge([detections, THREE.to_supervision()])
    assert len(together) == 3


def test_where_supervision_is_not_installed_that_is_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(ImportError, match='supervision'):
        THREE.to_supervision()

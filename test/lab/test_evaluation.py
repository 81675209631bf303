"""How detections are matched with annotated faces and counted."""

import numpy as np
import pytest
from shared import intersection_over_union

from blazeface_ros import FaceDetector, Faces
from blazeface_ros.lab.evaluation import (
    FALSE_POSITIVE,
    ON_IGNORED,
    average_precision,
    count,
    evaluate,
    match,
    measure,
)
from blazeface_ros.lab.ground_truth import GroundTruth


def faces_at(*boxes, scores=None):
    """Faces with these boxes, all keypoints in the upper left corners."""
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    keypoints = np.repeat(corners[:, None, :2], 6, 1)
    ranking = np.linspace(0.9, 0.7, len(corners)) if scores is None else scores
    return Faces(corners, keypoints, np.array(ranking, np.float32))


def square(x, size=40):
    """A square box at the upper border, with its left side at x."""
    return [x, 0, x + size, size]


def test_a_perfect_result_has_full_marks(samples):
    truths = [truth for _, truth in samples]
    found = [faces_at(*truth.boxes) for truth in truths]
    evaluation = measure(truths, found, found)
    assert evaluation.pictures == 2
    for accuracy in evaluation.accuracies:
        counts = accuracy.counts
        assert (counts.present, counts.found, counts.false_positives) == (6, 6, 0)
        assert counts.recall == counts.precision == accuracy.average_precision == 1


def test_average_precision_is_what_one_computes_by_hand():
    # The first and the third of three candidates find two of three faces. So the recalls are 1/3,
    # 1/3, 2/3, and the precisions are 1, 1/2, 2/3. The best from there on are 1, 2/3, 2/3.
    truths = [GroundTruth.from_lists([square(0), square(100)]), GroundTruth.from_lists([square(0)])]
    ranked = [
        faces_at(square(0), square(300), scores=[0.9, 0.8]),
        faces_at(square(2), scores=[0.3]),
    ]
    found = [ranked[0][:1], Faces.empty()]
    accuracy = measure(truths, found, ranked).accuracies[0]
    np.testing.assert_allclose(accuracy.precisions, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(accuracy.recalls, [1 / 3, 1 / 3, 2 / 3])
    assert np.isclose(accuracy.average_precision, 1 / 3 + 1 / 3 * 2 / 3)
    assert (accuracy.counts.recall, accuracy.counts.precision) == (1 / 3, 1)


def test_candidates_are_ranked_over_all_pictures():
    truths = [GroundTruth.from_lists([square(0)]), GroundTruth.from_lists([])]
    right, wrong = faces_at(square(0), scores=[0.5]), faces_at(square(0), scores=[0.6])
    ranked = [right, wrong]
    assert measure(truths, ranked, ranked).accuracies[0].average_precision == 0.5


def test_without_faces_or_detections_there_is_no_share_of_them():
    evaluation = measure([GroundTruth.from_lists([])], [Faces.empty()], [Faces.empty()])
    counts = evaluation.accuracies[0].counts
    assert np.isnan([counts.recall, counts.precision]).all()
    assert np.isnan(evaluation.accuracies[0].average_precision)
    assert np.isnan(list(evaluation.keypoint_errors.values())).all()
    assert average_precision(np.empty(0), np.empty(0)) == 0


def test_a_face_is_taken_once_and_by_the_best_score():
    truth = GroundTruth.from_lists([square(0), square(100)])
    matched = match(faces_at(square(4), square(0), square(100)), truth, 0.4)
    assert matched.tolist() == [0, FALSE_POSITIVE, 1]


def test_a_detection_gives_way_to_the_next_face_if_the_nearest_is_taken():
    truth = GroundTruth.from_lists([square(0), square(12)])
    assert match(faces_at(square(1), square(2)), truth, 0.4).tolist() == [0, 1]


def test_a_loose_box_counts_at_the_lower_threshold_only():
    truths, found = [GroundTruth.from_lists([square(0)])], [faces_at(square(15))]
    assert intersection_over_union(*map(np.array, (square(0), square(15)))) == 25 / 55
    loose, strict = (a.counts.found for a in measure(truths, found, found).accuracies)
    assert (loose, strict) == (1, 0)


def test_ignored_faces_count_neither_way():
    boxes = [square(0), square(100), square(200)]
    truth = GroundTruth.from_lists(boxes, ignored=[False, True, True])
    faces = faces_at(square(0), square(100), square(102), square(300))
    assert match(faces, truth, 0.4).tolist() == [0, ON_IGNORED, ON_IGNORED, FALSE_POSITIVE]
    accuracy = measure([truth], [faces], [faces]).accuracies[0]
    assert (accuracy.counts.present, accuracy.counts.false_positives) == (1, 1)
    assert accuracy.average_precision == 1
    assert len(accuracy.recalls) == 2


def test_keypoint_errors_are_shares_of_the_faces_size():
    points = [[0, 0], [4, 0], [0, 8], [3, 4]]
    truth = GroundTruth.from_lists([square(0), square(100)], [points, None])
    found = [faces_at(square(0), square(100))]
    errors = measure([truth], found, found).keypoint_errors
    assert errors['right_eye'] == 0
    np.testing.assert_allclose(errors['left_eye'], 4 / 40)
    np.testing.assert_allclose(errors['nose_tip'], 8 / 40)
    np.testing.assert_allclose(errors['mouth_center'], 5 / 40)
    assert np.isnan(errors['left_ear_tragion'])


def test_faces_and_false_positives_are_told_by_width():
    truths = [GroundTruth.from_lists([square(0, 20), square(100, 40), square(200, 40)])]
    found = [faces_at(square(100, 40), square(500, 100))]
    sizes = {size.begin: size.counts for size in measure(truths, found, found).sizes}
    assert (sizes[16].found, sizes[16].present) == (0, 1)
    assert (sizes[32].found, sizes[32].present) == (1, 2)
    assert (sizes[64].present, sizes[64].false_positives) == (0, 1)


def test_a_detector_is_measured_at_its_own_threshold_and_left_as_it_was(detector, samples):
    settings = detector.settings
    evaluation = evaluate(detector, samples)
    assert detector.settings == settings
    accuracy = evaluation.accuracies[0]
    assert (accuracy.counts.found, accuracy.counts.false_positives) == (6, 0)
    assert accuracy.average_precision == 1
    assert len(accuracy.recalls) > 6  # also candidates whose score is too low for a face
    assert evaluation.keypoint_errors['nose_tip'] < 1e-3


@pytest.mark.parametrize('settings', [{}, {'smallest_face': 40}, {'max_faces': 2}])
def test_what_counts_as_found_is_what_the_detector_gives(detector, samples, settings):
    """Candidates with low scores, which average precision needs, do not move the faces."""
    strict = FaceDetector(backend=detector.backend, score_threshold=0.8, **settings)
    accuracy = evaluate(strict, samples).accuracies[0]
    given = [strict.detect(picture) for picture, _ in samples]
    assert accuracy.counts == count([truth for _, truth in samples], given)
    assert accuracy.counts.found > 0
    assert len(accuracy.recalls) >= sum(map(len, given))


def test_annotations_and_results_are_compared_as_objects():
    """Arrays have no single truth value, so `==` must not look into them."""
    first, second = (GroundTruth.from_lists([square(0)]) for _ in range(2))
    assert first == first
    assert first != second
    evaluation = measure([first], [faces_at(square(0))], [faces_at(square(0))])
    assert evaluation == evaluation
    assert evaluation != measure([first], [faces_at(square(0))], [faces_at(square(0))])

"""How the time from pictures to faces is measured. No time decides about any test."""

import threading
import time

import numpy as np
import pytest

from blazeface_ros import FaceDetector
from blazeface_ros.errors import ModelError
from blazeface_ros.lab.benchmark import contenders, pictures


@pytest.mark.onnxruntime
@pytest.mark.parametrize('batch', [1, 3])
def test_the_stages_take_no_longer_than_the_whole(scene, batch):
    ours = contenders.Ours('front', 'onnxruntime', 1, [scene] * batch)
    one = ours.run()
    assert one.faces > 0
    assert tuple(one.stages) == pictures.STAGES
    assert all(seconds > 0 for seconds in one.stages.values())
    assert sum(one.stages.values()) <= one.seconds
    ours.close()


@pytest.mark.onnxruntime
def test_the_cpu_time_is_that_of_all_threads(scene):
    """It also counts what another thread uses, so that it exceeds that of the calling thread."""
    ours = contenders.Ours('front', 'onnxruntime', 1, [scene] * 8)
    ended = threading.Event()

    def burn():
        while not ended.is_set():
            pass

    other = threading.Thread(target=burn)
    other.start()
    try:
        counted = own = 0.0
        # The other thread has its turn sooner or later, even on a machine with a single core.
        while counted <= own:
            before = time.thread_time()
            counted = ours.run().cpu
            own = time.thread_time() - before
    finally:
        ended.set()
        other.join()
        ours.close()


@pytest.mark.onnxruntime
@pytest.mark.litert
def test_all_have_their_turns_and_are_compared_with_the_fastest_peer(scene):
    backends = 'onnxruntime', 'litert', 'litert'
    all_of_them = [contenders.Ours('front', name, 1, [scene]) for name in backends]
    turns = []
    rows = pictures.measure(all_of_them, 3, lambda: turns.append(None))
    assert len(turns) == 3
    assert [row['ours'] for row in rows] == [True, False, False]
    fastest = min(row['median'] for row in rows[1:])
    for row in rows:
        assert row['faces'] == rows[0]['faces'] > 0
        assert 0 < row['median'] <= row['p95']
        assert row['cpu'] > 0
        assert row['times as fast'] * row['median'] == pytest.approx(fastest)
    (alone,) = pictures.measure(all_of_them[:1], 1)
    assert alone['times as fast'] is None


@pytest.mark.onnxruntime
@pytest.mark.litert
def test_litert_is_a_peer_and_never_a_backend_of_ours(scene):
    gathered, _ = contenders.gather(['front'], ['onnxruntime'], 1, [scene])
    assert [(one.name.split()[1], one.ours) for one in gathered] == [
        ('ONNX', True),
        ('LiteRT', False),
    ]
    assert 'litert' not in contenders.OWN_BACKENDS


@pytest.mark.onnxruntime
@pytest.mark.litert
def test_those_who_cannot_take_part_are_named_with_the_reason(scene):
    _, missing = contenders.gather(['back', 'front'], None, 1, [scene])
    assert len(missing) == len(set(missing))
    assert any('ascend' in sentence for sentence in missing)
    (sentence,) = (sentence for sentence in missing if 'MediaPipe' in sentence)
    assert "No module named 'mediapipe'" in sentence
    assert '0.10.21' in sentence


@pytest.mark.onnxruntime
def test_a_file_with_another_network_does_not_take_part_under_a_wrong_name(scene, original_models):
    back = original_models / 'face_detection_back.tflite'
    with pytest.raises(ModelError, match='front'):
        contenders.gather(['front'], ['onnxruntime'], 1, [scene], tflite=back)
    (_, peer), _ = contenders.gather(['back'], ['onnxruntime'], 1, [scene[:99]], tflite=back)
    assert peer.name.startswith('back, LiteRT')


@pytest.mark.parametrize('size', [(640, 480), (1000, 100), (100, 1000), (1, 1), (1, 9)])
def test_a_scaled_picture_has_the_size_and_keeps_its_aspect(scene, size):
    wide = np.full((200, 400, 3), 50, np.uint8)
    wide[50:150, 100:200] = 200
    scaled = pictures.scaled_to(wide, *size)
    assert scaled.shape == (size[1], size[0], 3)
    if min(size) > 50:
        marked = np.argwhere(scaled[..., 0] > 125)
        height, width = np.ptp(marked, axis=0) + 1
        assert abs(height - width) <= 2
        assert abs(width - 100 * min(size[0] / 400, size[1] / 200)) <= 2


@pytest.mark.parametrize('faces', [1, 4, 9, 25, 49, 100])
def test_a_crowd_has_as_many_faces_as_asked_for(detector, astronaut, faces):
    picture = pictures.crowd(astronaut, detector.detect(astronaut).boxes[0], faces)
    assert abs(picture.shape[1] - 1000) < 10
    found = FaceDetector(threads=1, score_threshold=0.5).detect(picture)
    assert len(found) == faces
    cells = np.floor(found.keypoints[:, 2] / (picture.shape[1] / faces**0.5)).astype(int)
    assert len(np.unique(cells, axis=0)) == faces

"""How detections are measured by annotated pictures, and the pictures made for measuring."""

import json
import shutil
from itertools import islice

import numpy as np
import pytest
from conftest import PICTURES, intersection_over_union

from blazeface_ros.cli.main import main
from blazeface_ros.core.faces import Faces
from blazeface_ros.errors import ConfigurationError
from blazeface_ros.lab.evaluation import (
    FALSE_POSITIVE,
    ON_IGNORED,
    GroundTruth,
    average_precision,
    count,
    evaluate,
    match,
    measure,
    read_ground_truth,
)
from blazeface_ros.lab.scenes import HEIGHT, WIDTH, cut_heads, far_scenes, walking_clip


def faces_at(*boxes, scores=None):
    """Faces with these boxes, all keypoints in the upper left corners."""
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    keypoints = np.repeat(corners[:, None, :2], 6, 1)
    ranking = np.linspace(0.9, 0.7, len(corners)) if scores is None else scores
    return Faces(corners, keypoints, np.array(ranking, np.float32))


def square(x, size=40):
    return [x, 0, x + size, size]


@pytest.fixture(scope='module')
def samples(detector, scene, astronaut):
    """The bundled pictures, and their faces as the detector finds them at full size."""
    found = [(picture, detector.detect(picture)) for picture in (scene, astronaut)]
    return [(picture, GroundTruth.of(f.boxes, list(f.keypoints[:, :4]))) for picture, f in found]


@pytest.fixture
def annotations(samples, tmp_path):
    """The same as a file; one face more is there than can be found."""
    entries = [
        {
            'image': name,
            'faces': [
                {'box': box, 'points': points}
                for box, points in zip(truth.boxes.tolist(), truth.keypoints[:, :4].tolist())
            ],
        }
        for name, (_, truth) in zip(('scene.jpg', 'astronaut.png'), samples)
    ]
    entries[1]['faces'].append({'box': [400, 400, 420, 420]})
    file = tmp_path / 'truth.json'
    file.write_text(json.dumps(entries))
    return file


# Matching and numbers


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
    # Of three faces, found by the first and the third of three candidates: recall 1/3, 1/3, 2/3,
    # precision 1, 1/2, 2/3, of which the best from there on are 1, 2/3, 2/3.
    truths = [GroundTruth.of([square(0), square(100)]), GroundTruth.of([square(0)])]
    ranked = [
        faces_at(square(0), square(300), scores=[0.9, 0.8]),
        faces_at(square(2), scores=[0.3]),
    ]
    found = [ranked[0].best(1), Faces.none()]
    accuracy = measure(truths, found, ranked).accuracies[0]
    np.testing.assert_allclose(accuracy.precisions, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(accuracy.recalls, [1 / 3, 1 / 3, 2 / 3])
    assert np.isclose(accuracy.average_precision, 1 / 3 + 1 / 3 * 2 / 3)
    assert (accuracy.counts.recall, accuracy.counts.precision) == (1 / 3, 1)


def test_candidates_are_ranked_over_all_pictures():
    truths = [GroundTruth.of([square(0)]), GroundTruth.of([])]
    right, wrong = faces_at(square(0), scores=[0.5]), faces_at(square(0), scores=[0.6])
    ranked = [right, wrong]
    assert measure(truths, ranked, ranked).accuracies[0].average_precision == 0.5


def test_without_faces_or_detections_there_is_no_share_of_them():
    evaluation = measure([GroundTruth.of([])], [Faces.none()], [Faces.none()])
    counts = evaluation.accuracies[0].counts
    assert np.isnan([counts.recall, counts.precision]).all()
    assert np.isnan(evaluation.accuracies[0].average_precision)
    assert np.isnan(list(evaluation.keypoint_errors.values())).all()
    assert average_precision(np.empty(0), np.empty(0)) == 0


def test_a_face_is_taken_once_and_by_the_best_score():
    truth = GroundTruth.of([square(0), square(100)])
    matched = match(faces_at(square(4), square(0), square(100)), truth, 0.4)
    assert matched.tolist() == [0, FALSE_POSITIVE, 1]


def test_a_detection_gives_way_to_the_next_face_if_the_nearest_is_taken():
    truth = GroundTruth.of([square(0), square(12)])
    assert match(faces_at(square(1), square(2)), truth, 0.4).tolist() == [0, 1]


def test_a_loose_box_counts_at_the_lower_threshold_only():
    truths, found = [GroundTruth.of([square(0)])], [faces_at(square(15))]
    assert intersection_over_union(*map(np.array, (square(0), square(15)))) == 25 / 55
    loose, strict = (a.counts.found for a in measure(truths, found, found).accuracies)
    assert (loose, strict) == (1, 0)


def test_ignored_faces_count_neither_way():
    truth = GroundTruth.of([square(0), square(100), square(200)], ignored=[False, True, True])
    faces = faces_at(square(0), square(100), square(102), square(300))
    assert match(faces, truth, 0.4).tolist() == [0, ON_IGNORED, ON_IGNORED, FALSE_POSITIVE]
    accuracy = measure([truth], [faces], [faces]).accuracies[0]
    assert (accuracy.counts.present, accuracy.counts.false_positives) == (1, 1)
    assert accuracy.average_precision == 1
    assert len(accuracy.recalls) == 2


def test_keypoint_errors_are_shares_of_the_faces_size():
    points = [[0, 0], [4, 0], [0, 8], [3, 4]]
    truth = GroundTruth.of([square(0), square(100)], [points, None])
    found = [faces_at(square(0), square(100))]
    errors = measure([truth], found, found).keypoint_errors
    assert errors['right_eye'] == 0
    np.testing.assert_allclose(errors['left_eye'], 4 / 40)
    np.testing.assert_allclose(errors['nose_tip'], 8 / 40)
    np.testing.assert_allclose(errors['mouth_center'], 5 / 40)
    assert np.isnan(errors['left_ear_tragion'])


def test_faces_and_false_positives_are_told_by_width():
    truths = [GroundTruth.of([square(0, 20), square(100, 40), square(200, 40)])]
    found = [faces_at(square(100, 40), square(500, 100))]
    sizes = {size.begin: size.counts for size in measure(truths, found, found).sizes}
    assert (sizes[16].found, sizes[16].present) == (0, 1)
    assert (sizes[32].found, sizes[32].present) == (1, 2)
    assert (sizes[64].present, sizes[64].false_positives) == (0, 1)


def test_a_detector_is_measured_at_its_own_threshold_and_left_as_it_was(detector, samples):
    thresholds = detector.score_threshold, detector.iou_threshold
    evaluation = evaluate(detector, samples)
    assert (detector.score_threshold, detector.iou_threshold) == thresholds
    accuracy = evaluation.accuracies[0]
    assert (accuracy.counts.found, accuracy.counts.false_positives) == (6, 0)
    assert accuracy.average_precision == 1
    assert len(accuracy.recalls) > 6  # also what scores too low to be called a face
    assert evaluation.keypoint_errors['nose_tip'] < 1e-3


# Reading annotations

# The data set's own lines may end with a space.
WIDER = """0--Parade/first.jpg
2
449 330 122 149 0 0 0 0 0 0
10 20 30 40 0 0 0 1 0 0
0--Parade/empty.jpg
0
0 0 0 0 0 0 0 0 0 0
0--Parade/third.jpg
2
1 2 3 4 2 0 0 0 2 1\x20
7 7 0 9 0 0 0 0 0 0
"""


@pytest.fixture
def wider(tmp_path):
    """The folders of WIDER FACE, with one picture."""
    folder = tmp_path / 'WIDER_val' / 'images' / '0--Parade'
    folder.mkdir(parents=True)
    (folder / 'first.jpg').touch()
    file = tmp_path / 'wider_face_split' / 'wider_face_val_bbx_gt.txt'
    file.parent.mkdir()
    file.write_text(WIDER)
    return file


def test_wider_face_is_read_with_its_quirks(wider, tmp_path):
    first, empty, third = read_ground_truth(wider)
    assert first.file == tmp_path / 'WIDER_val' / 'images' / '0--Parade' / 'first.jpg'
    assert first.truth.boxes.tolist() == [[449, 330, 571, 479], [10, 20, 40, 60]]
    assert first.truth.ignored.tolist() == [False, True]
    assert np.isnan(first.truth.keypoints).all()
    assert len(empty.truth.boxes) == 0
    assert third.truth.boxes.tolist() == [[1, 2, 4, 6]]  # one without area is left out


def test_wider_face_without_the_row_of_zeros_is_read_too(wider):
    wider.write_text(WIDER.replace('\n0 0 0 0 0 0 0 0 0 0', ''))
    assert [len(picture.truth.boxes) for picture in read_ground_truth(wider)] == [2, 0, 1]


@pytest.mark.parametrize(
    ('old', 'new', 'sentence'),
    [
        ('first.jpg\n2', 'first.jpg\ntwo', "line 2: expected the number of faces of '0--Parade/f"),
        ('149 0 0', '149 0', "line 3: expected 10 numbers x y w h .*, got '449 330"),
        ('10 20', 'ten 20', 'line 4: expected 10 numbers'),
        ('first.jpg\n2', 'first.jpg\n1', "line 4: expected a picture's path .*, got '10 20 30"),
        ('third.jpg\n2', 'third.jpg\n9', 'line 12: expected 10 numbers.*got the end of the file'),
        ('first.jpg', 'first.doc', "line 1: expected a picture's path"),
    ],
)
def test_a_malformed_line_is_named_by_its_number(wider, old, new, sentence):
    wider.write_text(WIDER.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=sentence):
        read_ground_truth(wider)


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('[{"image": "a.png"}]', 'picture 1 needs "image", a path, and "faces", a list'),
        ('{"image": "a.png"}', 'must be a list of pictures'),
        ('[{"image": ', 'is no JSON'),
        ('[]', 'names no picture'),
        ('', 'names no picture'),
        (
            '[{"image": "a.png", "faces": [{"box": [3, 0, 1, 9]}]}]',
            r"picture 1 \('a.png'\), face 1: the box must be .* got \[3, 0, 1, 9\]",
        ),
        ('[{"image": "a.png", "faces": [[0, 0, 1]]}]', r'face 1: the box must be .* got \[0, 0, 1'),
        (
            '[{"image": "a.png", "faces": [{"box": [0, 0, 1, 1], "points": [[1, 2]]}]}]',
            r'the points must be 4 times \[x, y\], got \[\[1, 2\]\]',
        ),
        ('[{"image": "a.png", "faces": []}]', "picture 'a.png' of .* is not in .*; --images says"),
    ],
)
def test_malformed_json_is_told_with_the_place(tmp_path, text, sentence):
    file = tmp_path / 'truth.json'
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=sentence):
        read_ground_truth(file)


def test_pictures_are_looked_for_beside_the_file_or_where_one_says(annotations, tmp_path):
    with pytest.raises(ConfigurationError, match='--images'):
        read_ground_truth(annotations)
    assert read_ground_truth(annotations, PICTURES)[0].file == PICTURES / 'scene.jpg'
    (tmp_path / 'images').mkdir()
    shutil.copy(PICTURES / 'scene.jpg', tmp_path / 'images')
    assert read_ground_truth(annotations)[0].file == tmp_path / 'images' / 'scene.jpg'


# Scenes and clips


def found_closely(detector, pixels, box):
    """Whether the detector, looking at the surroundings of a face only, finds it there."""
    size = int(5 * (box[2] - box[0]))
    x, y = (max(0, int((low + high - size) / 2)) for low, high in (box[::2], box[1::2]))
    surroundings = np.ascontiguousarray(pixels[y : y + size, x : x + size])
    boxes = detector.detect(surroundings).boxes + np.array([x, y, x, y])
    return any(intersection_over_union(found, box) > 0.4 for found in boxes)


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
    corner = GroundTruth.of(truth.boxes[:1] + np.tile((2560, 1440), 2))
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
    with pytest.raises(ConfigurationError, match='width is 0'):
        next(far_scenes(samples, 0))


def test_the_background_shows_no_faces(detector, samples):
    for scene, truth in far_scenes(samples, 32):
        faces = detector.detect(scene)
        assert count([truth], [faces]).false_positives == 0


@pytest.fixture(scope='module')
def clip(samples):
    """Ten seconds; only every fifth frame keeps its pixels."""
    frames = walking_clip(cut_heads(samples))
    return [f if i % 5 == 0 else f._replace(pixels=None) for i, f in enumerate(frames)]


def test_heads_are_cut_whole(samples):
    heads = cut_heads(samples)
    assert len(heads) >= 4
    for head in heads:
        height, width = head.pixels.shape[:2]
        assert (head.box > 0).all() and (head.box < (width, height, width, height)).all()
    assert len(cut_heads(samples, smallest=150)) <= 1


def test_visible_faces_of_a_clip_are_where_its_truth_says(detector, clip):
    outcomes = []
    for frame in clip[::5]:
        assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
        for box, visible in zip(frame.truth.boxes, frame.visible):
            # One that is just half covered may be missed.
            if visible:
                outcomes.append(found_closely(detector, frame.pixels, box))
    assert len(outcomes) > 60
    assert np.mean(outcomes) > 0.9


def test_people_of_a_clip_walk_steadily_and_differ_in_size(clip):
    assert len(clip) == 100
    tracks = {}
    for frame in clip:
        assert len(frame.persons) == len(frame.truth.boxes) == len(frame.visible)
        for person, box in zip(frame.persons.tolist(), frame.truth.boxes):
            tracks.setdefault(person, []).append(box)
    assert sorted(tracks) == list(range(6))
    widths = []
    for boxes in map(np.array, tracks.values()):
        width = boxes[:, 2] - boxes[:, 0]
        widths += width.tolist()
        steps = np.diff(boxes[:, 0] + boxes[:, 2]) / 2
        assert (np.sign(steps) == np.sign(steps[0])).all()
        assert (np.abs(steps) < 0.5 * width[1:]).all()
    assert 30 <= min(widths) < 45
    assert 120 < max(widths) <= 202


def test_a_pillar_hides_every_other_person_for_half_a_second(clip):
    hidden = {}
    for number, frame in enumerate(clip):
        x = frame.truth.boxes[:, ::2].mean(1)
        for person in frame.persons[~frame.visible & (x > 0) & (x < WIDTH)].tolist():
            hidden.setdefault(person, []).append(number)
    for person in (0, 2, 4):
        runs = np.split(hidden[person], np.flatnonzero(np.diff(hidden[person]) > 1) + 1)
        assert any(4 <= len(run) <= 6 for run in runs)
        assert max(map(len, runs)) <= 10  # never away for more than a second


def test_the_same_clip_is_made_again(samples):
    heads = cut_heads(samples)
    for first, again in zip(*(islice(walking_clip(heads, seed=3), 2) for _ in range(2))):
        assert (first.pixels == again.pixels).all()
        assert (first.truth.boxes == again.truth.boxes).all()


def test_a_clip_of_nothing_is_refused(samples):
    with pytest.raises(ConfigurationError, match='no heads'):
        walking_clip([])
    with pytest.raises(ConfigurationError, match='rate is 0'):
        walking_clip(cut_heads(samples), rate=0)


# The command


def evaluate_by_command(*arguments):
    return main(['evaluate', '--threads', '1', '--ground-truth', *map(str, arguments)])


def test_it_prints_tables_and_writes_the_numbers_and_curves(annotations, tmp_path, capsys):
    numbers, plot = tmp_path / 'numbers.json', tmp_path / 'curve.png'
    assert not evaluate_by_command(
        annotations, '--images', PICTURES, '--json', numbers, '--plot', plot
    )
    captured = capsys.readouterr()
    assert captured.err == ''
    lines = [line.split() for line in captured.out.splitlines()]
    assert ['0.4', '6', '/', '7', '0.857', '0', '1.000', '0.857'] in lines
    assert ['16', '-', '32', '0', '/', '1', '0.000', '0'] in lines
    assert ['nose_tip', '0.000'] in lines
    written = json.loads(numbers.read_text())
    assert (written['model'], written['pictures']) == ('back', 2)
    first = written['accuracies'][0]
    assert (first['iou'], first['present'], first['found']) == (0.4, 7, 6)
    assert written['keypoint_errors']['left_ear_tragion'] is None
    assert plot.read_bytes().startswith(b'\x89PNG')


def test_far_faces_are_counted_by_width(annotations, tmp_path, capsys):
    numbers, plot = tmp_path / 'numbers.json', tmp_path / 'curve.png'
    outputs = '--json', numbers, '--plot', plot
    assert not evaluate_by_command(annotations, '--images', PICTURES, '--far', *outputs)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ' '.join(lines[1]) == 'width found / present recall false positives'
    assert [line[0] for line in lines[2:]] == ['16', '24', '32', '48', '72']
    far = json.loads(numbers.read_text())['far']
    assert [row['present'] for row in far] == [7, 6, 6, 6, 6]
    assert far[0]['found'] == 0  # the whole frame at once: too small
    assert plot.read_bytes().startswith(b'\x89PNG')


def test_an_unreadable_picture_is_named_once_and_the_others_are_done(annotations, tmp_path, capsys):
    shutil.copy(PICTURES / 'scene.jpg', tmp_path)
    for far in ([], ['--far']):
        assert evaluate_by_command(annotations, *far) == 1
        captured = capsys.readouterr()
        assert captured.err.count("astronaut.png' does not exist") == 1
        assert '/ 5' in captured.out


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['missing.txt'], "ground truth 'missing.txt' cannot be read"),
        (['missing.txt', '--json', 'nowhere/a.json'], "--json 'nowhere/a.json': there is no such"),
        (['missing.txt', '--plot', 'curve.doc'], "--plot 'curve.doc': the file's name must end"),
        (['missing.txt', '--model', 'nowhere.onnx'], "model 'nowhere.onnx' is neither"),
    ],
)
def test_what_cannot_work_is_refused_before_the_long_work(
    tmp_path, monkeypatch, capsys, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    assert evaluate_by_command(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert sentence in captured.err


def test_without_matplotlib_a_sentence_says_how_to_get_it(annotations, monkeypatch, capsys):
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None if name == 'matplotlib' else find_spec(name)
    )
    assert evaluate_by_command(annotations, '--plot', 'curve.png') == 2
    assert '--plot needs matplotlib: pip install matplotlib' in capsys.readouterr().err

"""The comparison of two backends, and `blazeface parity`, called as a user would."""

import re

import numpy as np
import pytest
from shared import PICTURES

from blazeface_ros.backends import BACKENDS
from blazeface_ros.cli.main import main
from blazeface_ros.core.faces import Faces
from blazeface_ros.lab.parity import compare, compare_faces, make_inputs
from blazeface_ros.models.catalogue import MODELS, find_original


def faces_at(*lefts, scores=(0.9, 0.8, 0.7)):
    """Faces that are 40 pixels wide, with these left sides."""
    x = np.array(lefts, np.float32).reshape(-1, 1)
    boxes = np.concatenate([x, 0 * x, x + 40, 0 * x + 40], 1)
    keypoints = np.repeat(boxes[:, None, :2], 6, 1)
    return Faces(boxes, keypoints, np.array(scores[: len(lefts)], np.float32))


def test_the_same_faces_in_another_order_are_the_same():
    first = faces_at(0, 100)
    second = faces_at(100, 0, scores=(0.8, 0.9))
    difference = compare_faces([first], [second], 0.5)
    assert difference.counts == (2, 2)
    assert difference.within(0)


def test_distances_count_in_pixels_and_as_shares_of_the_width():
    difference = compare_faces([faces_at(0, 102)], [faces_at(0, 100)], 0.5)
    assert difference.pixels == 2
    assert np.isclose(difference.share, 0.05)
    assert difference.within(0.06)
    assert not difference.within(0.04)


def test_a_face_that_only_one_finds_counts_by_its_score_above_the_threshold():
    for first, second in ((faces_at(0), faces_at()), (faces_at(), faces_at(0))):
        assert np.isclose(compare_faces([first], [second], 0.65).score, 0.25)
        assert compare_faces([first], [second], 0.89).within(0.02)


def test_a_face_at_another_place_is_another_face():
    difference = compare_faces([faces_at(0)], [faces_at(30)], 0.5)
    assert difference.pixels == 0
    assert np.isclose(difference.score, 0.4)


def test_pictures_without_faces_are_the_same():
    assert compare_faces([Faces.empty()], [Faces.empty()], 0.5).within(0)
    assert compare_faces([], [], 0.5).within(0)


# Raw outputs


def test_each_output_is_compared_on_random_inputs_and_on_pictures(scene):
    inputs = make_inputs(MODELS['front'], [scene, scene[:, ::-1]])
    assert {kind: batch.shape for kind, batch in inputs.items()} == {
        'random': (4, 3, 128, 128),
        'pictures': (2, 3, 128, 128),
    }

    def zeros(batch):
        return np.zeros((len(batch), 896, 16), np.float32), np.zeros((len(batch), 896, 1))

    def logits_one_higher(batch):
        coordinates, logits = zeros(batch)
        return coordinates + 3, logits + 1

    differences = compare('one - other', zeros, logits_one_higher, inputs)
    assert [(one.inputs, one.output) for one in differences] == [
        (kind, output) for kind in inputs for output in ('coordinates', 'logits')
    ]
    for difference in differences:
        step = 3 if difference.output == 'coordinates' else 1
        assert (difference.largest, difference.mean, difference.at_faces) == (step, step, step)
        assert difference.share == 1
        assert difference.within(1, at_faces=3)
        assert not difference.within(0.5, at_faces=3)
        assert difference.within(1) is (step == 1)


def test_outputs_that_are_not_numbers_are_never_the_same():
    inputs = make_inputs(MODELS['front'], [])

    def nan(batch):
        return (np.full((len(batch), 896, count), np.nan, np.float32) for count in (16, 1))

    assert not any(difference.within(1e9) for difference in compare('', nan, nan, inputs))


# The command


@pytest.mark.onnxruntime
@pytest.mark.litert
def test_it_compares_with_every_backend_or_says_why_not(capsys):
    assert main(['parity', '--model', 'front']) == 0
    printed = capsys.readouterr().out
    for name in set(BACKENDS) - {'onnxruntime'}:
        compared = f'onnxruntime - {name}: ' in printed
        assert compared != (f'not compared with {name}: ' in printed)
    assert 'onnxruntime - litert: ' in printed
    assert 'none above the tolerance of 1e-04' in printed


@pytest.mark.onnxruntime
@pytest.mark.litert
def test_a_difference_above_the_tolerance_gives_exit_code_1(capsys):
    arguments = ['parity', '--against', 'litert', '--tolerance', '1e-9']
    assert main(arguments) == 1
    assert '4 above the tolerance of 1e-09' in capsys.readouterr().out


@pytest.mark.onnxruntime
@pytest.mark.litert
def test_the_original_and_the_pictures_can_be_given_as_files(capsys):
    original = find_original(MODELS['back'])
    arguments = ['parity', '--against', 'litert', '--tflite', str(original)]
    assert main([*arguments, str(PICTURES / 'astronaut.png')]) == 0
    assert 'onnxruntime - litert: 1 and 1 faces' in capsys.readouterr().out


@pytest.mark.onnxruntime
@pytest.mark.litert
def test_a_file_of_another_backend_is_compared_with_the_shipped_network(capsys):
    original = find_original(MODELS['full_range'])
    arguments = ['parity', '--om', str(original), '--backend', 'litert', '--model', 'full_range']
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.startswith('litert: LiteRT ')
    assert re.search(r'litert - onnxruntime: ([1-9]) and \1 faces', printed)


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--against', 'banana'], "--against 'banana' is unknown; there are: onnxruntime"),
        (['--backend', 'banana'], "--backend 'banana' is unknown; there are: onnxruntime"),
        (['--tolerance', '-1'], '--tolerance is -1.0; it must be 0 or more'),
        (['--tolerance', 'nan'], '--tolerance is nan; it must be 0 or more'),
        (['--model', 'banana'], "model 'banana' is neither a known name"),
        pytest.param(
            ['--against', 'litert', '--tflite', 'no.tflite'],
            "model 'no.tflite' is neither",
            marks=pytest.mark.onnxruntime,
        ),
    ],
)
def test_what_cannot_work_is_refused(arguments, sentence, capsys):
    assert main(['parity', *arguments]) == 2
    assert sentence in capsys.readouterr().err

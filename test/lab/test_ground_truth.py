"""How annotations are read."""

import json
import shutil

import numpy as np
import pytest
from rights import without_root
from shared import PICTURES
from unreadable_files import UNREADABLE_FILES, make_unreadable_files

from blazeface_ros.errors import ConfigurationError
from blazeface_ros.lab.ground_truth import read_ground_truth

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
    ('old', 'new', 'fragments'),
    [
        ('first.jpg\n2', 'first.jpg\ntwo', ['line 2:', '0--Parade/first.jpg', "'two'"]),
        ('149 0 0', '149 0', ['line 3:', 'x y w h', "'449 330"]),
        ('10 20', 'ten 20', ['line 4:', "'ten 20"]),
        ('first.jpg\n2', 'first.jpg\n1', ['line 4:', "'10 20 30"]),
        ('third.jpg\n2', 'third.jpg\n9', ['line 12:', 'end of the file']),
        ('first.jpg\n2', f'first.jpg\n{"9" * 5000}', ['line 2:', "'999", '5000 characters']),
        ('449', '1' + '0' * 40, ['line 3:', 'x y w h']),
        ('first.jpg', 'first.doc', ['line 1:', 'first.doc']),
    ],
)
def test_a_malformed_line_is_named_by_its_number(wider, old, new, fragments):
    wider.write_text(WIDER.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as error:
        read_ground_truth(wider)
    assert all(fragment in str(error.value) for fragment in [str(wider), *fragments])


@pytest.mark.parametrize(
    ('text', 'fragments'),
    [
        ('[{"image": "a.png"}]', ['picture 1', '"faces"']),
        ('{"image": "a.png"}', ['list']),
        ('[{"image": ', ['JSON']),
        ('[]', ['no picture']),
        ('', ['no picture']),
        (
            '[{"image": "a.png", "faces": [{"box": [3, 0, 1, 9]}]}]',
            ["picture 1 ('a.png')", 'face 1', '[3, 0, 1, 9]'],
        ),
        ('[{"image": "a.png", "faces": [[0, 0, 1]]}]', ['face 1', '[0, 0, 1]']),
        (
            '[{"image": "a.png", "faces": [{"box": [0, 0, 1, 1], "points": [[1, 2]]}]}]',
            ['face 1', '[[1, 2]]'],
        ),
        ('[{"image": "a.png", "faces": []}]', ["'a.png'", '--images']),
        ('[' * 100_000, ['too many brackets']),
        (f'[{{"image": "a.png", "faces": [[0, 0, 1{"0" * 400}, 1]]}}]', ['face 1', '[0, 0, 100']),
        ('[{"image": "a.png", "faces": [[0, 0, 1e38, 1]]}]', ['face 1', '1e+38']),
        (f'[{{"image": "a.png", "faces": [{{"box": "{"x" * 10**6}"}}]}}]', ['1000000 characters']),
        (f'[{{"image": "{"x" * 5000}.png", "faces": []}}]', ["'xxx", '--images']),
        ('[{"image": "\\u0000.png", "faces": []}]', ['--images']),
        ('[{"image": "\\ud800.png", "faces": []}]', ['--images']),
    ],
)
def test_malformed_json_is_reported_with_the_place(tmp_path, text, fragments):
    file = tmp_path / 'truth.json'
    file.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        read_ground_truth(file)
    assert all(fragment in str(error.value) for fragment in [str(file), *fragments])
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ('name', 'reason'),
    [*UNREADABLE_FILES, ('latin', 'utf-8')],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path, name, reason):
    make_unreadable_files(tmp_path)
    (tmp_path / 'latin').write_bytes(b'caf\xe9.png')
    with pytest.raises(ConfigurationError, match=reason) as error:
        read_ground_truth(tmp_path / name)
    assert len(str(error.value)) < 500


def test_a_file_in_a_folder_that_may_not_be_read_is_named(tmp_path):
    (tmp_path / 'closed').mkdir(mode=0)
    with without_root(), pytest.raises(ConfigurationError, match='Permission denied'):
        read_ground_truth(tmp_path / 'closed' / 'truth.json')


def test_points_of_a_face_are_its_first_keypoints_and_the_others_are_unknown(tmp_path):
    (tmp_path / 'a.png').touch()
    file = tmp_path / 'truth.json'
    points = [[1, 2], [3, 4], [5, 6], [7, 8]]
    faces = [{'box': [0, 0, 9, 9], 'points': points}, {'box': [1, 1, 2, 2]}]
    file.write_text(json.dumps([{'image': 'a.png', 'faces': faces}]))
    ((picture, truth),) = read_ground_truth(file)
    assert picture == tmp_path / 'a.png'
    assert truth.keypoints.shape == (2, 6, 2)
    assert truth.keypoints[0, :4].tolist() == points
    assert np.isnan(truth.keypoints[0, 4:]).all()
    assert np.isnan(truth.keypoints[1]).all()
    assert not truth.ignored.any()


def test_pictures_are_looked_for_beside_the_file_or_in_the_named_folder(tmp_path):
    file = tmp_path / 'truth.json'
    file.write_text('[{"image": "scene.jpg", "faces": []}]')
    with pytest.raises(ConfigurationError, match='--images'):
        read_ground_truth(file)
    assert read_ground_truth(file, PICTURES)[0].file == PICTURES / 'scene.jpg'
    (tmp_path / 'images').mkdir()
    shutil.copy(PICTURES / 'scene.jpg', tmp_path / 'images')
    assert read_ground_truth(file)[0].file == tmp_path / 'images' / 'scene.jpg'

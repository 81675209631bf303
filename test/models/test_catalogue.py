"""The networks by name, and the files that the package ships for them."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from rights import without_root
from shared import ROOT

from blazeface_ros.errors import ModelError
from blazeface_ros.models.catalogue import (
    MODELS,
    check_network,
    find_model,
    find_original,
    shared_file,
)

every_model = pytest.mark.parametrize('model', MODELS.values(), ids=MODELS)


@every_model
def test_a_name_finds_the_shipped_file(model):
    assert find_model(model.name) == (model, ROOT / 'weights' / f'blazeface_{model.name}.onnx')


def test_a_path_finds_that_file_and_no_network(tmp_path):
    file = tmp_path / 'mine.onnx'
    file.touch()
    assert find_model(str(file)) == (None, file)


@pytest.mark.parametrize('name', ['side', '', 'weights/nowhere.onnx'])
def test_what_is_neither_a_name_nor_a_file_is_refused(name):
    sentence = f"model '{name}' is neither a known name (back, front, full_range, full_range_sparse"
    with pytest.raises(ModelError, match=re.escape(sentence)):
        find_model(name)


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('~nosuchuser/x.onnx', 'it cannot be read: '),
        ('x' * 5000, 'it cannot be read: File name too long'),
        ('nul\0.onnx', 'it cannot be read: .*embedded null'),
        ('half of a pair \ud800.onnx', 'it cannot be read: '),
        ('/dev/zero', 'it is a folder, a device or a pipe'),
        (__file__ + '/x.onnx', 'it cannot be read: Not a directory'),
    ],
)
def test_what_cannot_be_a_file_is_refused_with_the_reason(name, reason):
    with pytest.raises(ModelError, match=reason) as error:
        find_model(name)
    assert len(str(error.value)) < 500


def test_a_file_whose_name_is_not_utf8_is_refused(tmp_path):
    file = tmp_path / 'caf\udce9.onnx'
    file.touch()
    with pytest.raises(ModelError, match='is not UTF-8; rename it'):
        find_model(str(file))


def test_a_model_in_a_folder_that_may_not_be_read_is_refused(tmp_path):
    file = tmp_path / 'closed' / 'mine.onnx'
    file.parent.mkdir()
    file.touch()
    file.parent.chmod(0)
    with without_root(), pytest.raises(ModelError, match='it cannot be read: Permission denied'):
        find_model(str(file))


@pytest.fixture
def installation(tmp_path):
    """A copy of the package and its weights, and what `find_model('back')` says in it."""
    shutil.copytree(ROOT / 'blazeface_ros', tmp_path / 'blazeface_ros')
    shutil.copytree(ROOT / 'weights', tmp_path / 'weights')

    def find_back():
        code = 'from blazeface_ros.models.catalogue import find_model; print(find_model("back")[1])'
        ended = subprocess.run(
            [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return ended.stdout + ended.stderr

    return tmp_path / 'weights', find_back


def test_a_shipped_file_that_was_changed_is_refused(installation):
    weights, find_back = installation
    file = weights / 'blazeface_back.onnx'
    assert find_back() == f'{file}\n'
    with file.open('ab') as content:
        content.write(b'\0')
    assert re.search(r'has SHA-256 \w+, but was shipped with \w+', find_back())


@pytest.mark.parametrize('name', ['blazeface_back.onnx', 'MANIFEST.json'])
def test_a_shipped_file_that_is_missing_is_named(installation, name):
    weights, find_back = installation
    (weights / name).unlink()
    assert f'(share/blazeface_ros/weights/{name} is missing): install the package' in find_back()


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'no JSON',
        b'\xff\xfe\xfd',
        b'[' * 100_000,
        b'[]',
        b'7',
        b'{}',
        b'{"blazeface_back.onnx": {}}',
        b'{"blazeface_back.onnx": "text"}',
    ],
    ids=lambda content: content[:30],
)
def test_a_manifest_that_is_damaged_is_named_in_one_sentence(installation, content):
    weights, find_back = installation
    (weights / 'MANIFEST.json').write_bytes(content)
    printed = find_back()
    sentence = "MANIFEST.json' does not tell the SHA-256 of 'blazeface_back.onnx'; install the"
    assert f"'{weights / sentence}" in printed
    assert 'ModelError' in printed.splitlines()[-1]


@pytest.mark.parametrize('name', ['blazeface_back.onnx', 'MANIFEST.json'])
def test_a_shipped_file_that_cannot_be_read_is_named_with_its_folder(installation, name):
    weights, find_back = installation
    (weights / name).unlink()
    os.symlink('/proc/self/mem', weights / name)  # a regular file that nobody can read
    last = find_back().splitlines()[-1]
    assert f"ModelError: model 'back' in '{weights}' cannot be read: Input/output error;" in last


@pytest.mark.litert
@every_model
def test_the_original_file_is_the_one_that_mediapipe_published(model):
    data = find_original(model).read_bytes()
    assert hashlib.sha256(data).hexdigest() == model.source_sha256


@every_model
def test_the_manifest_describes_each_network(model):
    manifest = json.loads(shared_file('weights/MANIFEST.json').read_text())
    entry = manifest[f'blazeface_{model.name}.onnx']
    assert entry['model'] == model.name
    assert entry['source_sha256'] == model.source_sha256


@every_model
def test_a_network_is_recognised_by_its_shapes_and_its_name(model, tmp_path):
    shapes = model.input_shape, reversed(model.output_shapes)
    assert check_network(tmp_path, None, *shapes, name=model.name) is model


def test_without_a_name_a_file_with_the_shapes_of_two_networks_is_the_first(tmp_path):
    sparse = MODELS['full_range_sparse']
    found = check_network(tmp_path, None, sparse.input_shape, sparse.output_shapes)
    assert found is MODELS['full_range']
    assert check_network(tmp_path, sparse, sparse.input_shape, sparse.output_shapes) is sparse


def test_other_shapes_are_refused_with_those_wanted(tmp_path):
    back = MODELS['back']
    with pytest.raises(ModelError, match=r'takes \(3, 64, 64\) to .* not the network wanted'):
        check_network(tmp_path, back, (3, 64, 64), back.output_shapes)
    with pytest.raises(ModelError, match=r'wanted \(back: \(3, 256, 256\) to .*; front: '):
        check_network(tmp_path, None, back.input_shape, back.output_shapes[:1])

"""The networks by name, and the files that the package ships for them."""

import hashlib
import json
import re
import shutil
import subprocess
import sys

import pytest
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

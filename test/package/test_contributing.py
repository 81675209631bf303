"""The backend that CONTRIBUTING.md shows works."""

import re

import numpy as np
import pytest
from shared import ROOT

from blazeface_ros import FaceDetector
from blazeface_ros.errors import ConfigurationError, ModelError
from blazeface_ros.models.catalogue import find_model

PAGE = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
(BACKEND,) = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)


@pytest.fixture
def backend_class():
    """The class that the page shows."""
    namespace = {}
    exec(compile(BACKEND, 'CONTRIBUTING.md', 'exec'), namespace)
    return namespace['OpenCvBackend']


def test_the_example_finds_the_same_faces_as_the_default_backend(backend_class, detector, scene):
    model, file = find_model('back')
    backend = backend_class(model, file, device='auto', threads=1)
    found, expected = FaceDetector(backend=backend).detect(scene), detector.detect(scene)
    assert len(found) == len(expected) == 5
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


def test_the_example_refuses_what_it_cannot_run(backend_class, tmp_path):
    model, file = find_model('back')
    with pytest.raises(ConfigurationError, match='device cpu'):
        backend_class(model, file, device='cuda:0', threads=1)
    empty = tmp_path / 'empty.onnx'
    empty.touch()
    with pytest.raises(ModelError, match=str(empty)):
        backend_class(model, empty, device='cpu', threads=1)

"""Fixtures for tests on the double of `acl`, as a plugin of pytest."""

import sys

import numpy as np
import pytest
from acl_double import Gate, Simulation, write_om
from ascend_support import BACK

from blazeface_ros import FaceDetector
from blazeface_ros.backends.acl_runtime import runtime
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.sampling import sample
from blazeface_ros.core.tiles import letterbox


@pytest.fixture
def boot(monkeypatch):
    """Start a new machine, as in a new process. At the end, all machines must be clean."""
    simulations = []

    def start(**machine):
        runtime.close()
        simulations.append(Simulation(**machine))
        monkeypatch.setitem(sys.modules, 'acl', simulations[-1].module)
        return simulations[-1]

    yield start
    runtime.close()
    for simulation in simulations:
        assert simulation.violations == []
        assert simulation.ledger == {}


@pytest.fixture
def acl(boot):
    """A machine with the usual properties."""
    return boot()


@pytest.fixture
def om(tmp_path):
    """Write an .om file, and return its path."""
    return lambda onnx=BACK, name='model.om', **variant: write_om(tmp_path / name, onnx, **variant)


@pytest.fixture
def gate(tmp_path):
    """A gate for `om(gate=gate.file)`, open at first."""
    gate = Gate(tmp_path / 'gate')
    yield gate
    gate.open()


@pytest.fixture(scope='session')
def ort_detector():
    """The same network in ONNX Runtime."""
    return FaceDetector(threads=1)


@pytest.fixture(scope='session')
def inputs(astronaut, scene):
    """float32 [5, 3, 256, 256]: inputs of the network, as cameras give them."""
    pictures = [astronaut, scene, scene[:, ::-1], astronaut[::-1], scene[100:, 200:]]
    batch = np.empty((len(pictures), 3, 256, 256), np.float32)
    for picture, out in zip(pictures, batch):
        frame = Frame(np.ascontiguousarray(picture))
        sample(frame, letterbox(frame.width, frame.height), out)
    return batch


@pytest.fixture(scope='session')
def expected(ort_detector, inputs):
    """The outputs of ONNX Runtime for the inputs."""
    return ort_detector.backend.infer(inputs)

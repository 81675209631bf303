"""What the tests of the core share besides `core_support`."""

import pytest

from blazeface_ros import FacePipeline, PipelineSettings


@pytest.fixture(scope='session')
def start(detector):
    """Starts a pipeline with some settings, on the network that all tests share."""
    return lambda **settings: FacePipeline.from_detector(detector, PipelineSettings(**settings))

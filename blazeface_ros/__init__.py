"""BlazeFace for robots: faces with six keypoints, from arrays or from ROS 2 images."""

import typing

from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.drawing import draw_faces
from blazeface_ros.core.faces import KEYPOINT_NAMES, Faces
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.pipeline import CameraFrame, FacePipeline, FrameResult
from blazeface_ros.core.settings import PipelineSettings
from blazeface_ros.errors import BlazeFaceError

__version__: str
__all__ = [
    'KEYPOINT_NAMES',
    'BlazeFaceError',
    'CameraFrame',
    'FaceDetector',
    'FacePipeline',
    'Faces',
    'Frame',
    'FrameResult',
    'PipelineSettings',
    '__version__',
    'draw_faces',
]


if not typing.TYPE_CHECKING:  # type checkers would accept any attribute

    def __getattr__(name: str) -> str:
        """The version stands in package.xml alone; it is read when somebody asks for it."""
        if name != '__version__':
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        from xml.etree import ElementTree

        from blazeface_ros.models.catalogue import shared_file

        return ElementTree.parse(shared_file('package.xml')).findtext('version')

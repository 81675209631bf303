"""BlazeFace for robots: faces with six keypoints, from arrays or from ROS 2 images."""

from importlib import metadata

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


def __getattr__(name: str) -> str:
    """The version stands in package.xml alone; it is looked up when somebody asks for it."""
    if name != '__version__':
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    try:
        return metadata.version(__name__)
    except metadata.PackageNotFoundError:  # a source tree that is not installed
        return 'unknown'

"""BlazeFace for robots: faces with six keypoints, from arrays or from ROS 2 images."""

from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.drawing import draw_faces
from blazeface_ros.core.faces import KEYPOINT_NAMES, Faces
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.pipeline import CameraFrame, FacePipeline, FrameResult
from blazeface_ros.core.settings import PipelineSettings
from blazeface_ros.errors import BlazeFaceError

__version__ = '0.1.0'
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

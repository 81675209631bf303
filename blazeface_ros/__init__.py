"""BlazeFace for robots: faces with six keypoints, from arrays or from ROS 2 images."""

from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.faces import KEYPOINT_NAMES, Faces
from blazeface_ros.core.tiles import Frame
from blazeface_ros.errors import BlazeFaceError

__version__ = '0.1.0'
__all__ = ['KEYPOINT_NAMES', 'BlazeFaceError', 'FaceDetector', 'Faces', 'Frame', '__version__']

"""BlazeFace for robots: faces with six keypoints, from arrays or from ROS 2 images."""

from blazeface_ros.detector import FaceDetector
from blazeface_ros.errors import BlazeFaceError
from blazeface_ros.faces import KEYPOINT_NAMES, Faces
from blazeface_ros.windows import Frame

__version__ = '0.1.0'
__all__ = ['KEYPOINT_NAMES', 'BlazeFaceError', 'FaceDetector', 'Faces', 'Frame', '__version__']

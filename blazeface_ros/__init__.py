"""BlazeFace for robots: faces with six keypoints, from arrays or from ROS 2 images."""

import importlib
import typing

if typing.TYPE_CHECKING:
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
#: Where the public names are defined.
_MODULES = {
    'KEYPOINT_NAMES': 'core.faces',
    'BlazeFaceError': 'errors',
    'CameraFrame': 'core.pipeline',
    'FaceDetector': 'core.detector',
    'FacePipeline': 'core.pipeline',
    'Faces': 'core.faces',
    'Frame': 'core.frame',
    'FrameResult': 'core.pipeline',
    'PipelineSettings': 'core.settings',
    'draw_faces': 'core.drawing',
}


if not typing.TYPE_CHECKING:  # type checkers would accept any attribute

    def __getattr__(name: str) -> object:
        """A public name is imported when somebody asks for it.

        So the programs can prepare for signals before NumPy and OpenCV are imported. The version
        stands in package.xml alone.
        """
        if name == '__version__':
            from xml.etree import ElementTree

            from blazeface_ros.models.catalogue import shared_file

            return ElementTree.parse(shared_file('package.xml')).findtext('version')
        if name not in _MODULES:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        value = getattr(importlib.import_module(f'blazeface_ros.{_MODULES[name]}'), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

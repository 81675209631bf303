"""The nodes' parameters: declared once; types, validation and documentation follow from that.

The settings of the pipeline are declared in `core.settings`; here are those of the nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from blazeface_ros.backends import BACKENDS
from blazeface_ros.core.compressed import MOST_PIXELS, MOST_PIXELS_OF_OPENCV
from blazeface_ros.core.detector import MOST_THREADS
from blazeface_ros.core.settings import Declaration, PipelineSettings, declarations, setting
from blazeface_ros.errors import BlazeFaceError, ConfigurationError
from blazeface_ros.models.catalogue import MODELS
from blazeface_ros.recordings.media import FASTEST_RATE
from blazeface_ros.ros.qos import MOST_DDS_DEPTH, RELIABILITIES

#: Parameters that had another name in an earlier version, with the name that they have now.
RENAMED = {'windows_per_frame': 'tiles_per_frame', 'overlay_windows': 'overlay_tiles'}
#: The largest `queue_size`.
MOST_QUEUED = 1000
#: The largest `queue_bytes`.
MOST_QUEUE_BYTES = 2**40


@dataclass(frozen=True)
class DetectorParameters(PipelineSettings):
    """The parameters of the detector node."""

    image_topics: tuple[str, ...] = setting(
        ('image_raw',),
        'Topics of the images, one for each camera. All cameras share one network.',
        live=False,
    )
    face_topics: tuple[str, ...] = setting(
        (),
        'Topics of the faces, one for each camera. Empty: faces for one camera, '
        '<camera namespace>/faces for several.',
        live=False,
    )
    image_transport: str = setting(
        'raw',
        'raw subscribes to sensor_msgs/Image; compressed subscribes to '
        'sensor_msgs/CompressedImage on <image topic>/compressed.',
        choices=('raw', 'compressed'),
        live=False,
    )
    qos_reliability: str = setting(
        'auto',
        'QoS reliability of the subscription to images; auto takes what the publishers offer.',
        choices=('auto', *RELIABILITIES),
        live=False,
    )
    queue_size: int = setting(
        1,
        'Images buffered per camera; 1 keeps only the newest. Also the DDS depth, up to '
        f'{MOST_DDS_DEPTH}.',
        limits=(1, MOST_QUEUED),
        live=False,
    )
    queue_bytes: int = setting(
        0,
        'Bytes that the buffered images of all cameras may have. 0 takes an eighth of the memory '
        'that is free when the node starts.',
        limits=(0, MOST_QUEUE_BYTES),
        live=False,
    )
    max_image_pixels: int = setting(
        MOST_PIXELS,
        'Compressed images with more pixels than this are not decoded.',
        limits=(1, MOST_PIXELS_OF_OPENCV),
        live=False,  # or any peer could raise it
    )
    model: str = setting(
        'back', f'The network: {", ".join(MODELS)}, or the path of a model file.', live=False
    )
    backend: str = setting(
        'onnxruntime', 'The library that runs the network.', choices=BACKENDS, live=False
    )
    device: str = setting(
        'auto', 'The device that runs the network, as the backend names it.', live=False
    )
    threads: int = setting(
        0,
        'Number of CPU threads for the network. 0 uses as many as help.',
        limits=(0, MOST_THREADS),
        live=False,
    )
    max_rate: float = setting(
        0.0,
        'At most this many images per second and camera are processed. 0 sets no limit.',
        limits=(0.0, 1000.0),
    )
    max_latency: float = setting(
        0.0,
        'Diagnostics warn if it takes more seconds than this from an image to its faces. 0 never '
        'warns.',
        limits=(0.0, 60.0),
    )
    enable: bool = setting(True, 'Whether images are processed. The service ~/enable sets it, too.')
    lazy: bool = setting(
        True, 'Whether to subscribe to images only while somebody listens to an output.'
    )
    overlay: bool = setting(
        True,
        'Whether to offer faces/overlay. It is drawn only while somebody subscribes to it.',
        live=False,
    )
    overlay_scale: float = setting(
        1.0, 'Size of the overlay, as a share of the size of the image.', limits=(0.05, 4.0)
    )
    overlay_rate: float = setting(
        0.0,
        'At most this many overlays per second and camera. 0 sets no limit.',
        limits=(0.0, 1000.0),
    )
    overlay_quality: int = setting(80, 'JPEG quality of faces/overlay/compressed.', limits=(1, 100))
    overlay_tiles: bool = setting(False, 'Whether the overlay shows the searched tiles.')
    autostart: bool = setting(True, 'Whether the node configures and activates itself.', live=False)


@dataclass(frozen=True)
class MediaPublisherParameters:
    """The parameters of the media publisher node."""

    source: str = setting(
        '',
        'A picture, a folder of pictures, a video, or the index of a webcam. Empty: the bundled '
        'picture.',
        live=False,
    )
    rate: float = setting(
        0.0,
        'Frames per second. 0 takes the rate of the video or webcam, and 10 for pictures.',
        limits=(0.0, FASTEST_RATE),
        live=False,
    )
    loop: bool = setting(True, 'Whether to start again at the end of the source.', live=False)
    frame_id: str = setting('camera', 'frame_id in the header of the images.', live=False)
    qos_reliability: str = setting(
        'reliable',
        'QoS reliability that is offered. Subscribers of either kind receive reliable images.',
        choices=RELIABILITIES,
        live=False,
    )


Parameters = TypeVar('Parameters', DetectorParameters, MediaPublisherParameters)


class LiveParameters(Generic[Parameters]):
    """A node's parameters as they are now, for any thread to read.

    Attributes:
        current: all values in one frozen object. It is replaced whole whenever a parameter
            changes, so that whoever takes it once never mixes old values and new ones.
    """

    def __init__(self, current: Parameters) -> None:
        self.current: Parameters = current


def declare(node: Node, kind: type[Parameters]) -> LiveParameters[Parameters]:
    """Declare a node's parameters and check the values it was started with.

    Args:
        node: the node.
        kind: its parameters.

    Returns:
        The parameters, which follow every change from now on.

    Raises:
        ConfigurationError: if a value is not allowed; names the parameter, the value and what is
            allowed. Or if a parameter is given by a name that it no longer has.
    """
    known = declarations(kind)
    for old, new in RENAMED.items():
        if new in known and _given(node, old, None) is not None:
            raise ConfigurationError(f"parameter '{old}' is now called '{new}': use that name")
    values = {}
    for name, declaration in known.items():
        value = _checked(name, declaration, _given(node, name, _to_ros(declaration.default)))
        node.declare_parameter(name, _to_ros(value), _descriptor(declaration), ignore_override=True)
        values[name] = value
    parameters = LiveParameters(kind(**values))

    def on_set(changes: list[Parameter]) -> SetParametersResult:
        try:
            changed = {
                change.name: _checked(change.name, known[change.name], change.value)
                for change in changes
                if change.name in known
            }
        except BlazeFaceError as error:
            return SetParametersResult(successful=False, reason=str(error))
        parameters.current = replace(parameters.current, **changed)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(on_set)
    return parameters


def _given(node: Node, name: str, default: Any) -> Any:
    """The value that a node was started with, of whatever type.

    A parameter that is declared with its type refuses others in rclpy's own words, which do not
    say what is allowed. So the value is read first, through a declaration without a type.
    """
    value = node.declare_parameter(name, default, ParameterDescriptor(dynamic_typing=True)).value
    node.undeclare_parameter(name)
    return value


def _checked(name: str, declaration: Declaration, value: Any) -> Any:
    """The value in the parameter's own type; raises ConfigurationError if it is not allowed."""
    kind = type(declaration.default)
    if value is None and kind is tuple:  # how ROS reads an empty list
        value = ()
    elif type(value) is int and kind is str:  # how YAML reads the index of a webcam
        value = str(value)
    return declaration.checked(f"parameter '{name}'", value)


def _to_ros(value: Any) -> Any:
    """A value as rclpy takes it."""
    return list(value) if isinstance(value, tuple) else value


def _descriptor(declaration: Declaration) -> ParameterDescriptor:
    """What `ros2 param describe` shows."""
    descriptor = ParameterDescriptor(
        description=declaration.description,
        additional_constraints=declaration.allowed,
        read_only=not declaration.live,
    )
    if declaration.limits:
        low, high = declaration.limits
        if isinstance(declaration.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            whole = IntegerRange(from_value=int(low), to_value=int(high))
            descriptor.integer_range = [whole]
    return descriptor

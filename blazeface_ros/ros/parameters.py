"""The nodes' parameters: declared once; validation and documentation follow from that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from blazeface_ros.backends import BACKENDS
from blazeface_ros.core.detector import MOST_THREADS
from blazeface_ros.core.scan import SEARCHES
from blazeface_ros.core.tiles import MOST_WINDOWS
from blazeface_ros.errors import BlazeFaceError, ConfigurationError
from blazeface_ros.models.catalogue import MODELS
from blazeface_ros.recordings.media import FASTEST_RATE
from blazeface_ros.ros.qos import RELIABILITIES


@dataclass(frozen=True)
class Declaration:
    """One parameter.

    Attributes:
        name: as users write it.
        default: its value if they do not; also gives its type.
        description: one line for `ros2 param describe`.
        limits: smallest and largest value, of a number.
        choices: the allowed values, of a text.
        live: whether it may be changed while the node runs.
    """

    name: str
    default: Any
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    @property
    def allowed(self) -> str:
        """What values it takes, for people."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        kind = {
            bool: 'true or false',
            int: 'a whole number',
            float: 'a number',
            list: 'a list of texts',
        }.get(type(self.default), 'a text')
        return f'{kind} from {self.limits[0]} to {self.limits[1]}' if self.limits else kind

    def checked(self, value: Any) -> Any:
        """The value in this parameter's own type.

        Raises:
            ConfigurationError: if it is not allowed.
        """
        kind = type(self.default)
        if value is None and kind is list:  # how ROS reads an empty list
            value = []
        # YAML reads `5` as a whole number and `0` as one too: both are fine where a number or
        # a text (a webcam's index) is wanted.
        if type(value) is int and kind in (float, str):
            value = kind(value)
        if kind is list and not isinstance(value, (str, bytes)) and hasattr(value, '__iter__'):
            value = list(value)
        if (
            type(value) is not kind
            or (kind is list and not all(isinstance(item, str) for item in value))
            or (self.limits and not self.limits[0] <= value <= self.limits[1])
            or (self.choices and value not in self.choices)
        ):
            raise ConfigurationError(
                f"parameter '{self.name}' is {value!r}; it must be {self.allowed}"
            )
        return value

    def descriptor(self) -> ParameterDescriptor:
        """The same for ROS."""
        descriptor = ParameterDescriptor(
            description=self.description,
            additional_constraints=self.allowed,
            read_only=not self.live,
        )
        if self.limits and isinstance(self.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=self.limits[0], to_value=self.limits[1])
            ]
        elif self.limits:
            descriptor.integer_range = [
                IntegerRange(from_value=int(self.limits[0]), to_value=int(self.limits[1]))
            ]
        return descriptor


DETECTOR = (
    Declaration('image_topics', ['image_raw'], 'Images, one topic a camera; all share a network.'),
    Declaration(
        'face_topics',
        [],
        'Faces, one topic a camera; empty: faces, or <camera namespace>/faces for several.',
    ),
    Declaration(
        'image_transport',
        'raw',
        'compressed: sensor_msgs/CompressedImage from <image topic>/compressed.',
        choices=('raw', 'compressed'),
    ),
    Declaration(
        'qos_reliability',
        'auto',
        'Of the subscription to images; auto: as their publishers offer.',
        choices=('auto', *RELIABILITIES),
    ),
    Declaration(
        'queue_size',
        1,
        'Images of a camera that may wait for the network, and as many in the middleware; 1: only '
        'the newest, more: each has its turn.',
        limits=(1, 1000),
    ),
    Declaration('model', 'back', f'The network: {", ".join(MODELS)}, or a model file.'),
    Declaration(
        'backend', 'onnxruntime', 'What runs the network.', choices=tuple(BACKENDS)
    ),
    Declaration('device', 'auto', 'Where the network runs, as the backend names it.'),
    Declaration(
        'threads',
        0,
        'Of the network on a CPU; ONNX Runtime searches windows, and images of several cameras, '
        'side by side; 0: as many as help.',
        limits=(0, MOST_THREADS),
    ),
    Declaration(
        'score_threshold',
        0.0,
        "Faces that score below it are not published; 0: the model's own.",
        limits=(0.0, 1.0),
        live=True,
    ),
    Declaration(
        'iou_threshold',
        0.3,
        'Boxes that overlap by more than this (intersection over union) are one face.',
        limits=(0.0, 1.0),
        live=True,
    ),
    Declaration(
        'smallest_face',
        0,
        'Width in pixels of the image; 0: what one look at the whole image shows, else as many '
        'windows are searched as it takes.',
        limits=(0, 4096),
        live=True,
    ),
    Declaration(
        'search',
        'exhaustive',
        'Whether all windows of smallest_face are searched in each image, or some in turn (scan).',
        choices=SEARCHES,
        live=True,
    ),
    Declaration(
        'windows_per_frame',
        3,
        'Of a scan; images of several cameras that come together share theirs.',
        limits=(1, MOST_WINDOWS),
        live=True,
    ),
    Declaration('tracking', False, 'Whether faces get ids that stay.', live=True),
    Declaration(
        'track_lost_after',
        1.0,
        'Seconds for which a face that is not seen keeps its id.',
        limits=(0.05, 60.0),
        live=True,
    ),
    Declaration(
        'track_smoothing',
        False,
        'Whether jitter is taken out of tracked boxes and keypoints (one-euro filter).',
        live=True,
    ),
    Declaration(
        'max_faces', 0, 'The best so many of an image; 0: no limit.', limits=(0, 1000), live=True
    ),
    Declaration(
        'max_rate',
        0.0,
        'Images a second and camera that are worked on at most; 0: no limit.',
        limits=(0.0, 1000.0),
        live=True,
    ),
    Declaration(
        'max_latency',
        0.0,
        'Seconds from image to faces above which diagnostics warn; 0: never.',
        limits=(0.0, 60.0),
        live=True,
    ),
    Declaration(
        'enable', True, 'Whether images are taken; also the service ~/enable.', live=True
    ),
    Declaration(
        'lazy', True, 'Whether images are taken only while somebody hears an output.', live=True
    ),
    Declaration('overlay', True, 'Whether to offer faces/overlay; drawn only while subscribed.'),
    Declaration(
        'overlay_scale',
        1.0,
        'Size of the overlay as a share of the image.',
        limits=(0.05, 4.0),
        live=True,
    ),
    Declaration(
        'overlay_rate',
        0.0,
        'Overlays a second and camera at most; 0: no limit.',
        limits=(0.0, 1000.0),
        live=True,
    ),
    Declaration(
        'overlay_quality',
        80,
        'Of the JPEG on faces/overlay/compressed.',
        limits=(1, 100),
        live=True,
    ),
    Declaration('overlay_windows', False, 'Whether the searched windows are drawn.', live=True),
    Declaration('autostart', True, 'Whether the node configures and activates itself.'),
)

MEDIA_PUBLISHER = (
    Declaration(
        'source',
        '',
        'A picture, a folder of pictures, a video, or the index of a webcam; '
        'empty: the bundled picture.',
    ),
    Declaration(
        'rate',
        0.0,
        "Frames a second; 0: a video's or webcam's own rate, 10 for pictures.",
        limits=(0.0, FASTEST_RATE),
    ),
    Declaration('loop', True, 'Whether to begin again at the end.'),
    Declaration('frame_id', 'camera', 'frame_id in the header of the images.'),
    Declaration(
        'qos_reliability',
        'reliable',
        'What is offered; reliable is heard by subscribers of either kind.',
        choices=tuple(RELIABILITIES),
    ),
)


def declare(
    node: Node,
    declarations: Iterable[Declaration],
    apply: Callable[[dict[str, Any]], None] = lambda changed: None,
) -> dict[str, Any]:
    """Declare parameters on a node and check the values it was started with.

    Args:
        node: the node.
        declarations: its parameters.
        apply: called with the new values by name whenever live parameters have changed.

    Returns:
        The values it was started with, by name.

    Raises:
        ConfigurationError: if a value is not allowed; names the parameter and what is.
    """
    known = {declaration.name: declaration for declaration in declarations}
    values = {}
    for name, declaration in known.items():
        # Looked at once without rules: rclpy's own refusal of a wrong type would not say what is
        # right.
        given = node.declare_parameter(
            name, declaration.default, ParameterDescriptor(dynamic_typing=True)
        ).value
        node.undeclare_parameter(name)
        values[name] = declaration.checked(given)
        node.declare_parameter(
            name, values[name], declaration.descriptor(), ignore_override=True
        )

    def check(parameters: list[Parameter]) -> SetParametersResult:
        try:
            changed = {
                parameter.name: known[parameter.name].checked(parameter.value)
                for parameter in parameters
                if parameter.name in known
            }
            apply(changed)
        except BlazeFaceError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    return values

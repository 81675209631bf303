"""Which topics belong to which camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.exceptions import InvalidTopicNameException
from rclpy.validate_topic_name import validate_topic_name

from blazeface_ros.errors import ConfigurationError


def output_topics(
    image_topics: Sequence[str],
    face_topics: Sequence[str],
    resolve: Callable[[str], str],
) -> dict[str, str]:
    """Which faces go where: the face topic of each image topic.

    Args:
        image_topics: one a camera.
        face_topics: as many; empty: `faces` for one camera, `<camera namespace>/faces` for more.
        resolve: gives a topic's full name. Two names with the same full name are one topic.

    Raises:
        ConfigurationError: if a name is not valid, or if each camera does not get a topic of its
            own.
    """
    for name, topics in (('image_topics', image_topics), ('face_topics', face_topics)):
        for topic in topics:
            try:
                validate_topic_name(topic)
            except InvalidTopicNameException as error:
                reason = ' '.join(str(error).split())
                raise ConfigurationError(
                    f"parameter '{name}' is {[*topics]}; '{topic}' is not a valid topic name: "
                    f'{reason}'
                ) from error
    if not image_topics or _same(image_topics, resolve):
        raise ConfigurationError(
            f"parameter 'image_topics' is {[*image_topics]}; it must name each camera once"
        )
    outputs = face_topics
    if not outputs:
        namespaces = [topic.rpartition('/')[0] for topic in image_topics]
        outputs = [f'{namespace}/faces' if namespace else 'faces' for namespace in namespaces]
        if len(image_topics) == 1:
            outputs = ['faces']
    if len(outputs) != len(image_topics) or _same(outputs, resolve):
        hint = '' if face_topics else ', because their namespaces are the same'
        raise ConfigurationError(
            f"parameter 'face_topics' is {[*face_topics]}; it must have a topic of its own for "
            f'each of the image_topics {[*image_topics]}{hint}'
        )
    return dict(zip(image_topics, outputs))


def _same(topics: Sequence[str], resolve: Callable[[str], str]) -> bool:
    """Whether some of the topics are the same."""
    return len({resolve(topic) for topic in topics}) != len(topics)

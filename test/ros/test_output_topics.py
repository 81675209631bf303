"""Which topics belong to which camera, without a node."""

import pytest

from blazeface_ros.errors import ConfigurationError
from blazeface_ros.ros.topics import output_topics

pytestmark = pytest.mark.ros


def resolve(topic):
    """The full name in the namespace /robot."""
    return topic if topic.startswith('/') else f'/robot/{topic}'


@pytest.mark.parametrize(
    ('images', 'faces', 'expected'),
    [
        (['image_raw'], [], {'image_raw': 'faces'}),
        (['front/image_raw'], [], {'front/image_raw': 'faces'}),
        (
            ['front/image_raw', '/back/image'],
            [],
            {'front/image_raw': 'front/faces', '/back/image': '/back/faces'},
        ),
        (['image_raw', 'front/image'], [], {'image_raw': 'faces', 'front/image': 'front/faces'}),
        (['a/image', 'a/other'], ['x', 'y'], {'a/image': 'x', 'a/other': 'y'}),
    ],
)
def test_each_camera_has_a_topic_of_its_own_for_its_faces(images, faces, expected):
    assert output_topics(images, faces, resolve) == expected


@pytest.mark.parametrize(
    ('images', 'faces', 'name', 'problem'),
    [
        ([], [], 'image_topics', 'must name each camera once'),
        (['a', 'a'], [], 'image_topics', 'must name each camera once'),
        (['a', '/robot/a'], [], 'image_topics', 'must name each camera once'),
        (['/a/image', '/a/../image'], [], 'image_topics', "'/a/../image'"),
        (['two words'], [], 'image_topics', "'two words'"),
        (['a'], ['two words'], 'face_topics', "'two words'"),
        (['a'], [''], 'face_topics', "''"),
        (['a', 'b'], [], 'face_topics', 'a topic of its own for each'),
        (['x/a', 'y/b'], ['f'], 'face_topics', 'a topic of its own for each'),
        (['x/a', 'y/b'], ['f', '/robot/f'], 'face_topics', 'a topic of its own for each'),
        (['x/a'], ['f', 'g'], 'face_topics', 'a topic of its own for each'),
    ],
)
def test_topics_that_do_not_fit_together_are_refused(images, faces, name, problem):
    with pytest.raises(ConfigurationError) as error:
        output_topics(images, faces, resolve)
    given = {'image_topics': images, 'face_topics': faces}[name]
    assert f"parameter '{name}' is {given}" in str(error.value)
    assert problem in str(error.value)
    assert '\n' not in str(error.value)

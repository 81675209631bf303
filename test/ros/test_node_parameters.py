"""The nodes' parameters, on a real node without a detector."""

import pytest
import rclpy
from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter

from blazeface_ros.core.settings import declarations
from blazeface_ros.errors import ConfigurationError
from blazeface_ros.ros.parameters import DetectorParameters, MediaPublisherParameters, declare

pytestmark = pytest.mark.ros


@pytest.fixture
def declared():
    """Declares the parameters of a node that was started with some; returns both."""
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def declared(*given, kind=DetectorParameters):
        words = [word for parameter in given for word in ('-p', parameter)]
        node = Node('some', context=context, cli_args=['--ros-args', *words] if words else [])
        nodes.append(node)
        return node, declare(node, kind)

    yield declared
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def changes(**values):
    return [Parameter(name, value=value) for name, value in values.items()]


@pytest.mark.parametrize('kind', [DetectorParameters, MediaPublisherParameters])
def test_a_node_that_is_given_nothing_has_the_defaults(declared, kind):
    node, parameters = declared(kind=kind)
    assert parameters.current == kind()
    for name, declaration in declarations(kind).items():
        value = node.get_parameter(name).value
        assert (tuple(value) if isinstance(value, list) else value) == declaration.default


def test_what_it_is_given_counts(declared):
    node, parameters = declared(
        *('smallest_face:=32', 'search:=scan', 'max_rate:=2.5', 'lazy:=false'),
        'image_topics:=[a/image, b/image]',
    )
    assert parameters.current == DetectorParameters(
        smallest_face=32,
        search='scan',
        max_rate=2.5,
        lazy=False,
        image_topics=('a/image', 'b/image'),
    )
    assert node.get_parameter('image_topics').value == ['a/image', 'b/image']


def test_whole_numbers_are_taken_for_numbers_and_for_the_index_of_a_webcam(declared):
    _, parameters = declared('score_threshold:=1')
    assert repr(parameters.current.score_threshold) == '1.0'
    _, parameters = declared('source:=0', kind=MediaPublisherParameters)
    assert parameters.current.source == '0'


def test_an_empty_list_is_a_list(declared):
    _, parameters = declared('face_topics:=[]')
    assert parameters.current.face_topics == ()


@pytest.mark.parametrize(
    ('given', 'name', 'value', 'allowed'),
    [
        ('score_threshold:=2.0', 'score_threshold', 2.0, 'a number from 0.0 to 1.0'),
        ('score_threshold:=.nan', 'score_threshold', float('nan'), 'a number from 0.0 to 1.0'),
        ('max_rate:=-1', 'max_rate', -1, 'a number from 0.0 to 1000.0'),
        ('backend:=banana', 'backend', 'banana', 'one of onnxruntime'),
        ('threads:=many', 'threads', 'many', 'a whole number from 0'),
        ('threads:=2.5', 'threads', 2.5, 'a whole number from 0'),
        ('threads:=true', 'threads', True, 'a whole number from 0'),
        ('lazy:=maybe', 'lazy', 'maybe', 'true or false'),
        ('lazy:=1', 'lazy', 1, 'true or false'),
        ('model:=true', 'model', True, 'a text'),
        ('image_topics:=7', 'image_topics', 7, 'a list of texts'),
        ('image_topics:=[1, 2]', 'image_topics', [1, 2], 'a list of texts'),
        ('smallest_face:=-1', 'smallest_face', -1, 'a whole number from 0 to 4096'),
        ('tiles_per_frame:=0', 'tiles_per_frame', 0, 'a whole number from 1 to'),
        ('search:=everywhere', 'search', 'everywhere', 'one of exhaustive, scan'),
    ],
)
def test_a_wrong_value_is_refused_with_name_value_and_what_is_allowed(
    declared, given, name, value, allowed
):
    with pytest.raises(ConfigurationError) as error:
        declared(given)
    assert f"parameter '{name}' is {value!r}; it must be {allowed}" in str(error.value)


@pytest.mark.parametrize(
    ('given', 'new'),
    [
        ('windows_per_frame:=4', 'tiles_per_frame'),
        ('windows_per_frame:=four', 'tiles_per_frame'),
        ('overlay_windows:=true', 'overlay_tiles'),
    ],
)
def test_the_old_name_of_a_parameter_is_refused_with_the_new_one(declared, given, new):
    old = given.partition(':')[0]
    with pytest.raises(ConfigurationError, match=rf"'{old}' is now called '{new}'"):
        declared(given)
    # Another node may have a parameter of that name.
    declared(given, kind=MediaPublisherParameters)


def test_each_change_replaces_the_values_whole(declared):
    node, parameters = declared('max_faces:=3')
    before = parameters.current
    assert node.set_parameters(changes(smallest_face=16))[0].successful
    after = parameters.current
    assert before == DetectorParameters(max_faces=3)
    assert after == DetectorParameters(max_faces=3, smallest_face=16)
    assert node.get_parameter('smallest_face').value == 16


def test_several_changes_at_once_are_one_replacement(declared):
    node, parameters = declared()
    values = {'smallest_face': 16, 'search': 'scan', 'tiles_per_frame': 2, 'tracking': True}
    assert node.set_parameters_atomically(changes(**values)).successful
    assert parameters.current == DetectorParameters(**values)


@pytest.mark.parametrize(
    'wrong',
    [
        {'tiles_per_frame': 0},
        {'search': 'everywhere'},
        {'tracking': 'yes'},
        {'threads': 2},
    ],
)
def test_if_one_of_several_changes_is_refused_none_counts(declared, wrong):
    node, parameters = declared()
    before = parameters.current
    result = node.set_parameters_atomically(changes(smallest_face=16, **wrong))
    assert not result.successful
    assert result.reason
    assert parameters.current is before
    assert node.get_parameter('smallest_face').value == 0


def test_parameters_of_others_change_nothing(declared):
    node, parameters = declared()
    node.declare_parameter('mine', 1)
    before = parameters.current
    assert node.set_parameters(changes(mine=2))[0].successful
    assert parameters.current == before


@pytest.mark.parametrize('name', declarations(DetectorParameters))
def test_a_parameter_cannot_be_deleted(declared, name):
    node, parameters = declared()
    (result,) = node.set_parameters([Parameter(name, Parameter.Type.NOT_SET)])
    assert not result.successful
    assert node.has_parameter(name)
    assert parameters.current == DetectorParameters()


@pytest.mark.parametrize('kind', [DetectorParameters, MediaPublisherParameters])
def test_each_parameter_describes_itself(declared, kind):
    node, _ = declared(kind=kind)
    types = {
        bool: ParameterType.PARAMETER_BOOL,
        int: ParameterType.PARAMETER_INTEGER,
        float: ParameterType.PARAMETER_DOUBLE,
        str: ParameterType.PARAMETER_STRING,
        tuple: ParameterType.PARAMETER_STRING_ARRAY,
    }
    for name, declaration in declarations(kind).items():
        described = node.describe_parameter(name)
        # An empty list is a list of bytes to rclpy.
        if declaration.default != ():
            assert described.type == types[type(declaration.default)]
        assert described.description == declaration.description
        assert described.additional_constraints == declaration.allowed
        assert described.read_only is not declaration.live
        ranges = [*described.integer_range, *described.floating_point_range]
        limits = [(one.from_value, one.to_value) for one in ranges]
        assert limits == ([declaration.limits] if declaration.limits else [])

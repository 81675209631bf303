"""The policies of config/sros2 name what the nodes use, and nothing else."""

import contextlib
import importlib.util
import re
from xml.etree import ElementTree

import pytest
from ros_fixtures import NodeProcess, Robot, detector_starter
from sensor_msgs.msg import CompressedImage, Image
from shared import ROOT
from vision_msgs.msg import VisionInfo

pytestmark = pytest.mark.ros

POLICIES = sorted((ROOT / 'config' / 'sros2').glob('*.policy.xml'))
#: The structure that SROS2 demands of a policy: the attributes that an element must have, those it
#: may have, and its children. Actions and rules that deny are left out: no policy here has any.
STRUCTURE = {
    'policy': ({'version'}, set(), {'enclaves'}),
    'enclaves': (set(), set(), {'enclave'}),
    'enclave': ({'path'}, set(), {'profiles'}),
    'profiles': (set(), set(), {'profile'}),
    'profile': ({'ns', 'node'}, set(), {'topics', 'services'}),
    'topics': (set(), {'publish', 'subscribe'}, {'topic'}),
    'services': (set(), {'reply', 'request'}, {'service'}),
    'topic': (set(), set(), set()),
    'service': (set(), set(), set()),
}
#: What a node may do: the word for it in a policy, and the one in the methods of rclpy's nodes.
USES = {'publish': 'publisher', 'subscribe': 'subscriber', 'reply': 'service', 'request': 'client'}


def permitted(node, namespace):
    """What a node's policy permits: the full names of topics and services by the keys of `USES`."""
    (profile,) = ElementTree.parse(ROOT / f'config/sros2/{node}.policy.xml').iter('profile')
    assert profile.attrib == {'ns': '/', 'node': node}
    names = names_in(profile, namespace, node)
    # Humble's nodes do not have this service.
    if importlib.util.find_spec('rclpy.type_description_service') is None:
        names['reply'].remove(f'{namespace}/{node}/get_type_description')
    return names


def names_in(profile, namespace, node):
    """The names in the rules of a profile, by the keys of `USES`."""
    names = {use: set() for use in USES}
    for rule in profile:
        for use in rule.attrib:
            names[use] |= {in_full(entry.text, namespace, node) for entry in rule}
    return names


def in_full(name, namespace, node):
    """The full name of a topic or service, as SROS2 resolves it."""
    if name.startswith('/'):
        return name
    return f'{namespace}/{node}{name[1:]}' if name.startswith('~') else f'{namespace}/{name}'


def used(robot, node):
    """What a node uses now, in the same form."""
    asked = node, robot.node.get_namespace()
    return {
        use: {
            name for name, _ in getattr(robot.node, f'get_{kind}_names_and_types_by_node')(*asked)
        }
        for use, kind in USES.items()
    }


def assert_used(robot, node, expected):
    """Wait until a node uses exactly this."""
    known = robot.node.get_node_names_and_namespaces
    robot.until(lambda: (node, robot.node.get_namespace()) in known(), f'{node} is there')
    with contextlib.suppress(AssertionError):
        robot.until(lambda: used(robot, node) == expected, 'the node uses what its policy permits')
    assert used(robot, node) == expected


@pytest.mark.parametrize('file', POLICIES, ids=lambda file: file.name)
def test_a_policy_has_the_structure_that_sros2_demands(file):
    policy = ElementTree.parse(file).getroot()
    assert (policy.tag, policy.get('version')) == ('policy', '0.2.0')
    for element in policy.iter():
        required, optional, children = STRUCTURE[element.tag]
        assert required <= set(element.attrib) <= required | optional
        assert {child.tag for child in element} <= children
        assert (len(element) > 0) == (len(children) > 0)
        if optional:
            assert set(element.attrib.values()) == {'ALLOW'}
        if not children:
            assert element.text == element.text.strip() != ''


def test_each_node_has_a_policy_with_an_enclave_of_its_name():
    enclaves = [ElementTree.parse(file).find('enclaves/enclave').get('path') for file in POLICIES]
    assert enclaves == ['/detector', '/media_publisher']


@pytest.mark.network
@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_the_detector_uses_what_its_policy_permits(transport):
    parameters = f'image_transport:={transport}', 'tracking:=true', 'use_sim_time:=true'
    with detector_starter() as start:
        node, robot = start(*parameters, faces=False)
        expected = permitted('detector', node.namespace)
        raw, compressed = (f'{node.namespace}/image_raw{end}' for end in ('', '/compressed'))
        # It subscribes to images only while somebody listens.
        expected['subscribe'] -= {raw, compressed}
        assert_used(robot, 'detector', expected)
        robot.listen('faces')
        robot.watch('faces/overlay', Image)
        robot.watch('faces/overlay/compressed', CompressedImage)
        robot.watch('faces/vision_info', VisionInfo)
        expected['subscribe'].add(raw if transport == 'raw' else compressed)
        assert_used(robot, 'detector', expected)


@pytest.mark.network
def test_with_two_cameras_it_uses_what_the_page_about_security_shows():
    text = (ROOT / 'docs' / 'security.md').read_text(encoding='utf-8')
    (rules,) = re.findall('```xml\n(.*?)```', text, re.DOTALL)
    shown = names_in(ElementTree.fromstring(f'<profile>{rules}</profile>'), '', '')
    topics = 'image_topics:=[/left/image_raw, /right/image_raw]'
    with detector_starter() as start:
        node, robot = start(topics, 'lazy:=false', 'use_sim_time:=true', faces=False)
        expected = permitted('detector', node.namespace)
        for use, kind in (('subscribe', 'image_raw'), ('publish', 'faces')):
            own = {name for name in expected[use] if name.startswith(f'{node.namespace}/{kind}')}
            expected[use] = (expected[use] - own) | shown[use]
        assert_used(robot, 'detector', expected)


def test_the_media_publisher_uses_what_its_policy_permits():
    node = NodeProcess('media_publisher_node', '-p', 'use_sim_time:=true')
    robot = None
    try:
        node.until_it_logs()
        robot = Robot(node.namespace, faces=False)
        assert_used(robot, 'media_publisher', permitted('media_publisher', node.namespace))
    finally:
        node.kill()
        if robot is not None:
            robot.close()

"""Attacks a real detector with random pictures and requests, and accounts for every image.

Usage: make soak [SOAK='--minutes 10 --frames N --seed N --images-only']

Rounds follow each other until the time is over. In a round a reliable publisher sends pictures,
good ones and damaged ones, while nothing else happens, so that all can be accounted for: sent =
answered + counted. Then everything else is thrown at the node, it is brought back to its defaults,
and it must answer again. The table shows what the node's process takes.

Exit code 1 means that an image is unaccounted for, or that the node takes over 5 % more memory,
threads or file descriptors at the end than after the first minute.
"""

import argparse
import os
import random
import struct
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from ros_fixtures import PORTRAIT, compressed_message, detector_starter, encoded, image_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from blazeface_ros.core.settings import declarations
from blazeface_ros.ros.images import ENCODINGS
from blazeface_ros.ros.parameters import DetectorParameters

#: Images that are sent before the answer to a good one is awaited. The queue holds more.
BURST = 24
QUEUE_SIZE = 32
#: Bursts, and attacks of other kinds, in each round.
BURSTS, ATTACKS = 20, 15
#: Seconds after which the node should have taken all that it needs.
WARM_UP_S = 60.0
#: Seconds between two lines of the table.
TABLE_PERIOD_S = 30.0
#: Growth after the first minute that is taken for noise.
MOST_GROWTH = 0.05
#: Transitions that end the node for good.
SHUTDOWNS = (
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    Transition.TRANSITION_INACTIVE_SHUTDOWN,
    Transition.TRANSITION_ACTIVE_SHUTDOWN,
)
COUNTED = ('dropped', 'throttled', 'unreadable', 'lost')


class Soak:
    """One detector and what attacks it.

    Args:
        start: starts detectors (`ros_fixtures.detector_starter`).
        compressed: whether its camera sends compressed images.
        chance: makes all random choices.
        parameters: of the node, such as 'model:=front'.

    Attributes:
        totals: how many images were sent and what became of them.
    """

    def __init__(self, start, compressed, chance, *parameters):
        self.chance = chance
        transport = 'compressed' if compressed else 'raw'
        self.node, self.robot = start(
            f'image_transport:={transport}', f'queue_size:={QUEUE_SIZE}', *parameters
        )
        self.topic = 'image_raw/compressed' if compressed else 'image_raw'
        self.make_good = (lambda: encoded(PORTRAIT)) if compressed else _portrait
        self.make_bad = self._compressed_image if compressed else self._raw_image
        self.camera = self.robot.node.create_publisher(
            CompressedImage if compressed else Image,
            self.topic,
            QoSProfile(depth=QUEUE_SIZE, reliability=ReliabilityPolicy.RELIABLE),
        )
        self.totals = dict.fromkeys(('sent', 'answered', *COUNTED, 'failed requests'), 0)
        self._sent = 0
        self._recover()
        self._reach_the_most()

    def _reach_the_most(self):
        """Let the node take the memory that its dearest settings take, which it then keeps."""
        dearest = {'smallest_face': 1, 'overlay_scale': 4.0, 'tracking': True}
        assert self.robot.set_parameters_at_once(**dearest).successful
        overlays = self.robot.watch('faces/overlay')
        self.robot.until(
            lambda: self.camera.publish(self.make_good()) or len(overlays) > BURST, 'overlays come'
        )
        self.robot.unwatch(overlays)
        self._recover()
        for _ in range(2):  # more pictures of different sizes than the node keeps sampling maps
            self.account_for_images(BURSTS)

    def round(self, attacks=ATTACKS):
        """Send pictures, account for them, attack in other ways, and recover."""
        self.account_for_images(BURSTS)
        for _ in range(attacks):
            self.chance.choice(self.attacks())()
        failed = int(self.robot.status('network')[2].get('failed requests', 0))
        self.totals['failed requests'] = failed
        if attacks:
            self._recover()

    # Pictures

    def account_for_images(self, bursts):
        """Send bursts of good and damaged pictures; fails unless each is accounted for."""
        before = self._counts()
        self.robot.faces.clear()
        self._sent = 0
        for _ in range(bursts):
            for _ in range(self.chance.randrange(BURST)):
                make = self.make_good if self.chance.random() < 0.3 else self.make_bad
                self._publish(make())
            self._ask_once()

        def since():
            return {key: value - before[key] for key, value in self._counts().items()}

        def is_all_counted():
            now = since()
            counted = now['processed'] + sum(now[key] for key in COUNTED)
            return now['received'] == counted == self._sent

        self.robot.until(is_all_counted, f'all {self._sent} images are accounted for')
        after = since()
        answered = after['processed']
        assert answered == len(self.robot.faces), (after, len(self.robot.faces))
        self.totals['sent'] += self._sent
        self.totals['answered'] += answered
        for key in COUNTED:
            self.totals[key] += after[key]

    def _publish(self, image):
        self.camera.publish(image)
        self._sent += 1

    def _ask_once(self):
        """Send a good picture once and wait for its answer: all before it are done with."""
        image = self.make_good()
        self._publish(image)
        self.robot.until(lambda: self.robot.answer(image), 'a good picture is answered')

    def _counts(self):
        keys = ('received', 'processed', *COUNTED)
        return {key: self.robot.count(key, self.topic) for key in keys}

    def _raw_image(self):
        """An image message with something random in each field."""
        chance = self.chance
        width, height = (chance.randrange(1, 300) for _ in range(2))
        channels = chance.choice([1, 2, 3, 4])
        image = image_message(np.zeros((height, width, channels), np.uint8))
        image.encoding = chance.choice(
            [*ENCODINGS, '', 'no encoding', 'ü' * chance.randrange(9999)]
        )
        image.is_bigendian = chance.randrange(2)
        image.step = max(0, image.step + chance.choice([0, 0, 0, -1, 1, 64, -image.step, 2**31]))
        image.data.frombytes(chance.randbytes(chance.choice([0, 0, 1, 1000])))
        if chance.random() < 0.2:
            del image.data[chance.randrange(len(image.data)) :]
        image.width = chance.choice([image.width] * 8 + [0, 2**32 - 1])
        image.height = chance.choice([image.height] * 8 + [0, 2**32 - 1])
        image.header.frame_id = 'x' * chance.choice([0, 1, 1, 1, 10_000, 1_000_000])
        return image

    def _compressed_image(self):
        """A JPEG, PNG or other picture, damaged in some way."""
        chance = self.chance
        suffix = chance.choice(['.jpg', '.jpg', '.png', '.bmp', '.tiff', '.webp', '.ppm'])
        size = tuple(chance.randrange(1, 300) for _ in range(2))
        data = bytearray(cv2.imencode(suffix, cv2.resize(PORTRAIT, size))[1].tobytes())
        for _ in range(chance.choice([0, 1, 1, 5, 50])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        if suffix == '.jpg' and chance.random() < 0.2 and b'\xff\xc0' in data:
            at = data.index(b'\xff\xc0') + 5
            data[at : at + 4] = struct.pack('>HH', 32766, 32766)
        kind = chance.choice(['jpeg', 'png', '', 'x' * 100_000])
        return compressed_message(data, kind)

    # Other attacks

    def attacks(self):
        """All kinds of attacks but pictures."""
        return [
            self._set_a_parameter,
            self._set_a_parameter_of_no_type,
            self._change_the_state,
            self._switch,
            self._turn_back_the_clock,
            self._send_rubbish,
            self._watch_overlays,
            self._join_and_leave,
        ]

    def _set_a_parameter(self):
        name = self.chance.choice([*declarations(DetectorParameters), 'use_sim_time', 'no_such'])
        values = [True, False, 0, -1, 7, 2**62, 0.5, -1e300, float('nan'), '', 'scan', 'x' * 10**6]
        values += [[], ['a'], [1, 2], [0.5], [True]]
        self.robot.set_parameter(name, self.chance.choice(values))

    def _set_a_parameter_of_no_type(self):
        value = ParameterValue(type=self.chance.randrange(10, 256))
        request = SetParameters.Request(parameters=[ParameterMessage(name='lazy', value=value)])
        self.robot.send(SetParameters, 'detector/set_parameters', request)

    def _change_the_state(self):
        ids = [number for number in range(100) if number not in SHUTDOWNS]
        self.robot.change_state(self.chance.choice([*ids, *range(1, 5)]))

    def _switch(self):
        self.robot.enable(self.chance.random() < 0.5)

    def _turn_back_the_clock(self):
        self.robot.set_parameter('use_sim_time', True)
        clock = self.robot.node.create_publisher(Clock, '/clock', 1)
        message = Clock()
        message.clock.sec = self.chance.choice([-1, 0, 1, 2**31 - 1])
        for _ in range(10):
            clock.publish(message)
            self.robot.spin_once()
        self.robot.node.destroy_publisher(clock)

    def _send_rubbish(self):
        serialized = bytearray(serialize_message(self.make_good()))
        del serialized[self.chance.randrange(4, len(serialized)) :]
        for _ in range(9):
            serialized[self.chance.randrange(len(serialized))] = self.chance.randrange(256)
        self.camera.publish(bytes(serialized))

    def _watch_overlays(self):
        node = self.robot.node
        watching = [
            node.create_subscription(Image, 'faces/overlay', lambda image: None, 1),
            node.create_subscription(
                CompressedImage, 'faces/overlay/compressed', lambda image: None, 1
            ),
        ]
        for _ in range(10):
            self.camera.publish(self.chance.choice([self.make_good, self.make_bad])())
            self.robot.spin_once()
        for subscription in watching:
            node.destroy_subscription(subscription)

    def _join_and_leave(self):
        stranger = self.robot.add_stranger('stranger')
        best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        kind = self.chance.choice([String, type(self.make_good())])
        stranger.create_publisher(kind, self.topic, best_effort)
        self.robot.wait_for_new_reports()
        self.robot.remove_stranger(stranger)

    # Back to the defaults

    def _recover(self):
        """Bring the node back to its defaults, until it answers."""
        for name, declaration in declarations(DetectorParameters).items():
            if declaration.live:
                assert self.robot.set_parameter(name, declaration.default).successful, name
        assert self.robot.set_parameter('use_sim_time', False).successful
        for _ in range(4):
            transition = {
                'unconfigured': Transition.TRANSITION_CONFIGURE,
                'inactive': Transition.TRANSITION_ACTIVATE,
            }.get(self.robot.state())
            if transition:
                assert self.robot.change_state(transition)
        self.robot.until(
            lambda: [
                info.qos_profile.reliability
                for info in self.robot.node.get_subscriptions_info_by_topic(self.topic)
            ]
            == [ReliabilityPolicy.RELIABLE],
            'the node subscribes as reliable as the camera is',
        )
        self.robot.ask_through(self.camera, self.make_good())
        self.robot.wait_for_new_reports()  # nothing of before comes any more


def _portrait():
    return image_message(PORTRAIT)


def usage(pid):
    """What a process takes: megabytes of memory, threads, file descriptors."""
    status = Path(f'/proc/{pid}/status').read_text()
    fields = dict(line.split(':', 1) for line in status.splitlines())
    descriptors = len(os.listdir(f'/proc/{pid}/fd'))
    return int(fields['VmRSS'].split()[0]) / 1024, int(fields['Threads']), descriptors


COLUMNS = ('node', 'minutes', 'sent', 'answered', *COUNTED, 'failed requests', 'RSS MB', 'threads')


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--minutes', type=float, default=10.0, help='default: 10')
    parser.add_argument('--frames', type=int, default=0, help='go on until so many were sent')
    parser.add_argument('--seed', type=int, default=0, help='of the random choices; default: 0')
    parser.add_argument('--images-only', action='store_true', help='no attacks of other kinds')
    parser.add_argument('--model', default='back', help='default: back')
    options = parser.parse_args()
    begin = time.monotonic()
    next_line = 0.0
    warm = None
    row = '{:>10}  {:>7}  {:>8}  {:>8}' + '  {:>10}' * len(COUNTED) + '  {:>15}' + '  {:>8}' * 3
    print(row.format(*COLUMNS, 'files'), flush=True)
    with detector_starter() as start:
        chance = random.Random(options.seed)
        soaks = [
            Soak(start, compressed, chance, f'model:={options.model}')
            for compressed in (False, True)
        ]
        while True:
            seconds = time.monotonic() - begin
            used = [usage(soak.node.pid) for soak in soaks]
            if warm is None and seconds >= WARM_UP_S:
                warm = used
            sent = sum(soak.totals['sent'] for soak in soaks)
            over = sent >= options.frames and seconds >= 60 * options.minutes
            if seconds >= next_line or over:
                next_line = seconds + TABLE_PERIOD_S
                for soak, (memory, threads, files) in zip(soaks, used):
                    name = soak.topic.rpartition('/')[2].removeprefix('image_')
                    values = (name, f'{seconds / 60:.1f}', *soak.totals.values(), f'{memory:.1f}')
                    print(row.format(*values, threads, files), flush=True)
            if over:
                break
            for soak in soaks:
                soak.round(0 if options.images_only else ATTACKS)
    if warm is None:
        return 0
    growth = [
        now / before - 1
        for node_before, node_now in zip(warm, used)
        for before, now in zip(node_before, node_now)
    ]
    print(
        'growth since the first minute, memory, threads and files of each node: '
        + ', '.join(f'{value:+.1%}' for value in growth)
    )
    return int(max(growth) > MOST_GROWTH)


if __name__ == '__main__':
    sys.exit(main())

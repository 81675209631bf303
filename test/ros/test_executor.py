"""The executor on a real node of its own: what fails in it, and what goes on."""

import pytest
import rclpy
from rclpy.qos import QoSProfile
from std_msgs.msg import Empty, Int32

from blazeface_ros.errors import ConfigurationError
from blazeface_ros.ros.executor import RobustExecutor

pytestmark = pytest.mark.ros

#: Messages that come before the executor is asked to end.
ENOUGH = 5
QOS = QoSProfile(depth=1)


class Bench:
    """A node that sends itself messages, each as soon as the one before has come."""

    def __init__(self, receive):
        rclpy.init()
        self.node = rclpy.create_node('bench')
        self.executor = RobustExecutor(self.node.get_logger())
        self.executor.add_node(self.node)
        self.received = []
        self._receive = receive
        self.publisher = self.node.create_publisher(Int32, 'numbers', QOS)
        self.node.create_subscription(Int32, 'numbers', self._on_number, QOS)
        # Messages may get lost before publisher and subscription know each other.
        self.node.create_timer(0.01, lambda: self.publisher.publish(Int32()))

    def _on_number(self, message):
        self.received.append(message)
        self._receive(len(self.received))

    def spin(self):
        self.executor.spin_until(lambda: len(self.received) >= ENOUGH)

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def make_bench():
    benches = []

    def make_bench(receive=lambda count: None):
        benches.append(Bench(receive))
        return benches[-1]

    yield make_bench
    for bench in benches:
        bench.close()


def test_callbacks_run_until_the_program_should_end(make_bench):
    bench = make_bench()
    bench.spin()
    assert len(bench.received) == ENOUGH
    assert bench.executor.failures == 0


def test_a_callback_that_fails_costs_only_its_message(make_bench):
    def fail(count):
        raise ValueError(f'message {count}')

    bench = make_bench(fail)
    bench.spin()
    assert bench.executor.failures == ENOUGH


def test_a_message_that_cannot_be_taken_does_not_make_the_node_deaf(make_bench):
    bench = make_bench()
    publisher = bench.node.create_publisher(Empty, 'untakable', QOS)
    untakable = bench.node.create_subscription(Empty, 'untakable', lambda message: None, QOS)
    untakable.msg_type = None  # rclpy fails to make a message of it
    bench.node.create_timer(0.01, lambda: publisher.publish(Empty()))
    bench.executor.spin_until(lambda: bench.executor.failures >= ENOUGH)
    bench.received.clear()
    bench.spin()
    assert len(bench.received) == ENOUGH


def test_an_error_of_this_package_ends_the_program(make_bench):
    def end(count):
        raise ConfigurationError('source: nothing in it could be read')

    with pytest.raises(ConfigurationError):
        make_bench(end).spin()


def test_a_program_may_end_itself(make_bench):
    def end(count):
        raise SystemExit

    with pytest.raises(SystemExit):
        make_bench(end).spin()


def test_the_end_of_the_context_ends_it(make_bench):
    bench = make_bench(lambda count: rclpy.try_shutdown())
    bench.spin()
    assert len(bench.received) == 1

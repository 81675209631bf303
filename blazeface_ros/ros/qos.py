"""Quality of service: what is offered, and what is taken."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

RELIABILITIES = {
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
    'reliable': ReliabilityPolicy.RELIABLE,
}

#: Reliable, so that subscribers of either kind hear it.
RESULT_QOS = QoSProfile(depth=10)
OVERLAY_QOS = QoSProfile(depth=1)
#: Whoever comes later is told, too.
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def image_qos(reliability: ReliabilityPolicy, depth: int) -> QoSProfile:
    """For images: volatile, which every publisher serves.

    Args:
        reliability: of the subscription.
        depth: images that may wait for the executor; of a depth of 1, the newest.
    """
    return QoSProfile(depth=depth, reliability=reliability)


def offered_by_all(publishers: Iterable[TopicEndpointInfo]) -> ReliabilityPolicy:
    """The best reliability that all publishers offer.

    A reliable subscription does not hear a best-effort publisher at all; a best-effort one loses
    large images wherever they do not fit into shared memory.
    """
    reliable = all(
        publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE for publisher in publishers
    )
    return ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT

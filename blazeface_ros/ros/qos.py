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


def image_qos(reliability: ReliabilityPolicy) -> QoSProfile:
    """For images: volatile, which every publisher serves; depth 1, as a second image is an old one.

    Args:
        reliability: of the subscription.
    """
    return QoSProfile(depth=1, reliability=reliability)


def offered_by_all(publishers: Iterable[TopicEndpointInfo]) -> ReliabilityPolicy:
    """The best reliability that all publishers offer.

    A reliable subscription does not hear a best-effort publisher at all; a best-effort one loses
    large images wherever they do not fit into shared memory.
    """
    reliable = all(
        publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE for publisher in publishers
    )
    return ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT

"""Quality of service: what is offered, and what is requested."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

if TYPE_CHECKING:  # newer releases of rclpy have it elsewhere
    from rclpy.topic_endpoint_info import TopicEndpointInfo

RELIABILITIES = {
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
    'reliable': ReliabilityPolicy.RELIABLE,
}

#: Images that the middleware keeps until the executor takes them, which it does at once. The
#: middleware knows no limit in bytes, and so this number is small.
MOST_DDS_DEPTH = 32
#: Reliable, so that subscribers of either kind receive it.
RESULT_QOS = QoSProfile(depth=10)
OVERLAY_QOS = QoSProfile(depth=1)
#: Subscribers that come later receive the last message, too.
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def image_qos(reliability: ReliabilityPolicy, queue_size: int) -> QoSProfile:
    """For images: volatile, which every publisher serves.

    Args:
        reliability: of the subscription.
        queue_size: images that may wait for the network; 1 keeps only the newest.
    """
    return QoSProfile(depth=min(queue_size, MOST_DDS_DEPTH), reliability=reliability)


def offered_by_all(publishers: Iterable[TopicEndpointInfo]) -> ReliabilityPolicy:
    """The best reliability that all publishers offer.

    A reliable subscription receives nothing from a best-effort publisher. A best-effort
    subscription loses large images where they do not fit into shared memory.
    """
    reliable = all(
        publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE for publisher in publishers
    )
    return ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT

"""A program: the node that an engineer writes in an afternoon. Ours is measured beside it.

It has one callback, cv_bridge, a default session of ONNX Runtime, the same weights, and an overlay
that is always drawn. It is written to be plain, and nothing in it is meant to be fast.

Usage: reference_node.py MODEL.onnx RELIABILITY
"""

import contextlib
import sys

import cv2
import numpy as np
import rclpy
from cv_bridge import CvBridge
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from blazeface_ros.backends.onnx_runtime import import_onnxruntime

# A plain node would say `import onnxruntime`. That would send telemetry, which nothing in this
# package does. The session below stays a default one, and so its speed is that of a plain node.
onnxruntime = import_onnxruntime()
SIZE = 256


def make_anchors() -> np.ndarray:
    anchors = []
    for cells, repeat in ((16, 2), (8, 6)):
        for y in range(cells):
            for x in range(cells):
                anchors += [((x + 0.5) / cells, (y + 0.5) / cells)] * repeat
    return np.array(anchors, np.float32)


class ReferenceNode(Node):
    def __init__(self, model: str, reliability: str) -> None:
        super().__init__('reference')
        self.bridge = CvBridge()
        self.session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
        self.anchors = make_anchors()
        self.faces = self.create_publisher(Detection2DArray, '/camera0/faces', 10)
        self.overlay = self.create_publisher(Image, '/camera0/faces/overlay', 10)
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy[reliability.upper()])
        self.create_subscription(Image, '/camera0/image_raw', self.on_image, qos)

    def on_image(self, message: Image) -> None:
        picture = self.bridge.imgmsg_to_cv2(message, 'bgr8')
        height, width = picture.shape[:2]
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        square = np.zeros((side, side, 3), np.uint8)
        square[top : top + height, left : left + width] = picture
        rgb = cv2.cvtColor(cv2.resize(square, (SIZE, SIZE)), cv2.COLOR_BGR2RGB)
        batch = (rgb.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        coordinates, logits = self.session.run(
            ['coordinates', 'logits'], {'input': np.ascontiguousarray(batch)}
        )
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -100, 100)))
        keep = scores > 0.65
        points = coordinates[0][keep].reshape(-1, 8, 2) / SIZE
        centers, sizes = points[:, 0] + self.anchors[keep], points[:, 1]
        boxes = np.concatenate([centers - sizes / 2, sizes], 1) * side - (left, top, 0, 0)
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores[keep].tolist(), 0.65, 0.3)
        answer = Detection2DArray(header=message.header)
        for i in kept:
            x, y, box_width, box_height = map(float, boxes[i])
            detection = Detection2D(header=message.header)
            detection.bbox.center.position.x = x + box_width / 2
            detection.bbox.center.position.y = y + box_height / 2
            detection.bbox.size_x, detection.bbox.size_y = box_width, box_height
            result = ObjectHypothesisWithPose()
            result.hypothesis.class_id = 'face'
            result.hypothesis.score = float(scores[keep][i])
            detection.results.append(result)
            answer.detections.append(detection)
            corners = (int(x), int(y)), (int(x + box_width), int(y + box_height))
            cv2.rectangle(picture, *corners, (0, 255, 0), 2)
        self.faces.publish(answer)
        # This is what cv2_to_imgmsg does. The one in PyPI's cv_bridge fails with NumPy 2.
        overlay = Image(header=message.header, height=height, width=width)
        overlay.encoding, overlay.step = 'bgr8', 3 * width
        overlay.data.frombytes(picture.tobytes())
        self.overlay.publish(overlay)


def main() -> None:
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        rclpy.spin(ReferenceNode(*sys.argv[1:]))


if __name__ == '__main__':
    main()

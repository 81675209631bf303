"""A program that runs MediaPipe's own graph for BlazeFace `back`, for `blazeface benchmark`.

It needs mediapipe 0.10.21, and nothing of this package. From the standard input it reads the shapes
of some pictures (a line of JSON) and their pixels, in bgr order. For each further line it finds the
faces of all pictures once, and prints [seconds, CPU seconds, number of faces].

Usage: mediapipe_graph.py face_detection_back.tflite THREADS
"""

import importlib
import json
import sys
import time

import numpy as np

#: The options of the graph are protobuf extensions. Importing these modules makes them known.
OPTIONS = (
    'tensor.image_to_tensor_calculator_pb2',
    'tensor.inference_calculator_pb2',
    'tflite.ssd_anchors_calculator_pb2',
    'tensor.tensors_to_detections_calculator_pb2',
    'util.non_max_suppression_calculator_pb2',
)
GRAPH = """
input_stream: "image"
output_stream: "faces"
num_threads: 1
node {
  calculator: "ImageToTensorCalculator"
  input_stream: "IMAGE:image"
  output_stream: "TENSORS:input"
  output_stream: "MATRIX:matrix"
  options { [mediapipe.ImageToTensorCalculatorOptions.ext] {
    output_tensor_width: 256 output_tensor_height: 256 keep_aspect_ratio: true
    output_tensor_float_range { min: -1 max: 1 } border_mode: BORDER_ZERO } }
}
node {
  calculator: "InferenceCalculator"
  input_stream: "TENSORS:input"
  output_stream: "TENSORS:raw"
  options { [mediapipe.InferenceCalculatorOptions.ext] {
    model_path: "MODEL" delegate { xnnpack { num_threads: THREADS } } } }
}
node {
  calculator: "SsdAnchorsCalculator"
  output_side_packet: "anchors"
  options { [mediapipe.SsdAnchorsCalculatorOptions.ext] {
    num_layers: 4 min_scale: 0.15625 max_scale: 0.75 input_size_height: 256 input_size_width: 256
    anchor_offset_x: 0.5 anchor_offset_y: 0.5 strides: [16, 32, 32, 32] aspect_ratios: 1.0
    fixed_anchor_size: true } }
}
node {
  calculator: "TensorsToDetectionsCalculator"
  input_stream: "TENSORS:raw"
  input_side_packet: "ANCHORS:anchors"
  output_stream: "DETECTIONS:candidates"
  options { [mediapipe.TensorsToDetectionsCalculatorOptions.ext] {
    num_classes: 1 num_boxes: 896 num_coords: 16 box_coord_offset: 0 keypoint_coord_offset: 4
    num_keypoints: 6 num_values_per_keypoint: 2 sigmoid_score: true score_clipping_thresh: 100
    reverse_output_order: true x_scale: 256 y_scale: 256 h_scale: 256 w_scale: 256
    min_score_thresh: 0.65 } }
}
node {
  calculator: "NonMaxSuppressionCalculator"
  input_stream: "candidates"
  output_stream: "merged"
  options { [mediapipe.NonMaxSuppressionCalculatorOptions.ext] {
    min_suppression_threshold: 0.3 overlap_type: INTERSECTION_OVER_UNION algorithm: WEIGHTED
    return_empty_detections: true } }
}
node {
  calculator: "DetectionProjectionCalculator"
  input_stream: "DETECTIONS:merged"
  input_stream: "PROJECTION_MATRIX:matrix"
  output_stream: "DETECTIONS:faces"
}
"""


def main() -> None:
    import mediapipe
    from google.protobuf import text_format
    from mediapipe.framework import calculator_pb2
    from mediapipe.python import packet_creator, packet_getter
    from mediapipe.python._framework_bindings import calculator_graph

    for name in OPTIONS:
        importlib.import_module(f'mediapipe.calculators.{name}')
    text = GRAPH.replace('MODEL', sys.argv[1]).replace('THREADS', sys.argv[2])
    config = text_format.Parse(text, calculator_pb2.CalculatorGraphConfig())
    graph = calculator_graph.CalculatorGraph(graph_config=config)
    faces = []
    graph.observe_output_stream('faces', lambda name, packet: faces.append(packet), True)
    graph.start_run()

    images = []
    for shape in json.loads(sys.stdin.buffer.readline()):
        pixels = np.frombuffer(sys.stdin.buffer.read(int(np.prod(shape))), np.uint8).reshape(shape)
        # This is not timed, because a program may already have its pictures in rgb order.
        rgb = np.ascontiguousarray(pixels[..., ::-1])
        images.append(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb))
    timestamp = 0
    while sys.stdin.buffer.readline():
        faces.clear()
        cpu, begin = time.process_time(), time.perf_counter()
        for image in images:
            timestamp += 1
            graph.add_packet_to_input_stream(
                'image', packet_creator.create_image(image).at(timestamp)
            )
            graph.wait_until_idle()
        seconds, used = time.perf_counter() - begin, time.process_time() - cpu
        found = sum(len(packet_getter.get_proto_list(packet)) for packet in faces)
        print(json.dumps([seconds, used, found]), flush=True)


if __name__ == '__main__':
    main()

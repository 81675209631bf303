"""Makes weights/blazeface_back.onnx again from MediaPipe's .tflite file.

Needs torch, tflite and onnx. Usage: make_weights.py face_detection_back.tflite OUT.onnx
"""

import hashlib
import sys
from pathlib import Path

import onnx

from blazeface_ros.models.catalogue import MODELS
from blazeface_ros.models.networks import BlazeFace
from blazeface_ros.models.onnx_export import to_onnx
from blazeface_ros.models.tflite_reader import load_weights


def main() -> None:
    source, target = map(Path, sys.argv[1:3])
    model = MODELS['back']
    found = hashlib.sha256(source.read_bytes()).hexdigest()
    if found != model.source_sha256:
        sys.exit(f'{source} has SHA-256 {found}, wanted {model.source_sha256}')
    network = BlazeFace(model.name).eval()
    load_weights(network, source)
    onnx.save(to_onnx(network, model.input_size), target)
    print(f'{target}: {target.stat().st_size:,} bytes')


if __name__ == '__main__':
    main()

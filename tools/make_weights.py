"""Makes weights/*.onnx and their manifest again from MediaPipe's .tflite files.

Needs torch, tflite and onnx. Usage: make_weights.py FOLDER_WITH_TFLITE_FILES
"""

import hashlib
import json
import sys
from pathlib import Path

import onnx

from blazeface_ros.models.catalogue import MODELS
from blazeface_ros.models.networks import make_network
from blazeface_ros.models.onnx_export import to_onnx
from blazeface_ros.models.tflite_reader import load_weights

WEIGHTS = Path(__file__).parents[1] / 'weights'


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> None:
    sources = {sha256(file): file for file in Path(sys.argv[1]).glob('*.tflite')}
    manifest = {}
    for model in MODELS.values():
        network = make_network(model.name).eval()
        load_weights(network, sources[model.source_sha256])
        target = WEIGHTS / f'blazeface_{model.name}.onnx'
        onnx.save(to_onnx(network, model.input_size), target)
        manifest[target.name] = {
            'model': model.name,
            'sha256': sha256(target),
            'source_sha256': model.source_sha256,
            'input_size': model.input_size,
            'anchors': model.anchors,
            'score_threshold': model.score_threshold,
            'license': 'Apache-2.0, Google LLC (MediaPipe)',
        }
        print(f'{target.name}: {target.stat().st_size:,} bytes')
    (WEIGHTS / 'MANIFEST.json').write_text(json.dumps(manifest, indent=2) + '\n')


if __name__ == '__main__':
    main()

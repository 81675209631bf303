"""Makes weights/*.onnx and their manifest again from MediaPipe's .tflite files.

It needs the extra `convert`.

Usage: make_weights.py FOLDER_WITH_TFLITE_FILES
"""

import json
import sys
import tempfile
from pathlib import Path

from blazeface_ros.models import conversion
from blazeface_ros.models.catalogue import MODELS, sha256_of

WEIGHTS = Path(__file__).parents[1] / 'weights'


def main() -> None:
    sources = {sha256_of(file): file for file in Path(sys.argv[1]).glob('*.tflite')}
    manifest = {}
    for model in MODELS.values():
        target = WEIGHTS / f'blazeface_{model.name}.onnx'
        with tempfile.TemporaryDirectory() as folder:
            pth = Path(folder, 'network.pth')
            conversion.tflite_to_torch(sources[model.source_sha256], pth)
            conversion.torch_to_onnx(pth, target)
        manifest[target.name] = {
            'model': model.name,
            'sha256': sha256_of(target),
            'source_sha256': model.source_sha256,
            'input_size': model.input_size,
            'grids': model.grids,
            'anchors': model.anchors,
            'score_threshold': model.score_threshold,
            'license': 'Apache-2.0, Google LLC (MediaPipe)',
        }
        print(f'{target.name}: {target.stat().st_size:,} bytes')
    (WEIGHTS / 'MANIFEST.json').write_text(json.dumps(manifest, indent=2) + '\n')


if __name__ == '__main__':
    main()

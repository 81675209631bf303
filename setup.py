"""The ament_python package; also installs with pip where there is no ROS."""

from glob import glob

from setuptools import find_packages, setup

PACKAGE = 'blazeface_ros'

setup(
    name=PACKAGE,
    version='0.1.0',
    description='BlazeFace for ROS 2: faces with six keypoints from camera images',
    license='Apache-2.0',
    maintainer='blazeface_ros maintainers',
    maintainer_email='maintainers@blazeface-ros.invalid',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml', 'LICENSE', 'NOTICE']),
        *(
            (f'share/{PACKAGE}/{folder}', sorted(glob(f'{folder}/*')))
            for folder in ('launch', 'config', 'weights', 'pictures')
        ),
    ],
    python_requires='>=3.10',
    install_requires=['setuptools', 'numpy', 'opencv-python-headless>=4.5', 'onnxruntime'],
    extras_require={
        'torch': ['torch', 'onnx'],
        'convert': ['torch', 'onnx', 'tflite', 'flatbuffers', 'ai-edge-litert', 'tqdm'],
        'evaluate': ['matplotlib', 'tqdm'],
        # The reference node of --ros needs cv_bridge, too: docs/performance.md.
        'benchmark': ['matplotlib', 'tqdm', 'ai-edge-litert'],
        'test': [
            'ai-edge-litert==2.3.0',
            'hypothesis>=6.100',
            'mypy==1.18.*',
            'nbclient',
            'ipykernel',
            'matplotlib',
            'onnx',
            'tflite==2.18.0',
            'torch==2.13.0',
            'tqdm',
            'pytest>=8',
            'ruff==0.14.*',
        ],
    },
    zip_safe=False,
    entry_points={
        'console_scripts': [
            f'blazeface = {PACKAGE}.cli.main:main',
            f'detector_node = {PACKAGE}.ros.detector_node:main',
            f'media_publisher_node = {PACKAGE}.ros.media_publisher_node:main',
        ],
    },
)

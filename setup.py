"""Installs the package: by colcon as an ament_python package, or by pip where there is no ROS."""

from glob import glob
from os.path import isfile
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

PACKAGE = 'blazeface_ros'
#: ROS's tools read package.xml. What stands there stands nowhere else.
MANIFEST = ElementTree.parse(Path(__file__).with_name('package.xml')).getroot()
URLS = {url.get('type'): url.text for url in MANIFEST.findall('url')}
#: Folders whose files are installed as they are.
FOLDERS = 'launch', 'config', 'config/sros2', 'weights', 'pictures'

#: What the quick tests need, without ROS and PyTorch, on any Python from 3.10.
QUICK = [
    'ai-edge-litert',
    'flatbuffers',
    'hypothesis>=6.100',
    'matplotlib',
    'pytest>=8',
    'pytest-xdist',
    'supervision',
    'tflite==2.18.0',
    'tqdm',
]

setup(
    name=PACKAGE,
    version=MANIFEST.findtext('version'),
    description=' '.join(MANIFEST.findtext('description').split()),
    license=MANIFEST.findtext('license'),
    author=MANIFEST.findtext('author'),
    maintainer=MANIFEST.findtext('maintainer'),
    maintainer_email=MANIFEST.find('maintainer').get('email'),
    url=URLS['website'],
    project_urls={'Source': URLS['repository'], 'Issues': URLS['bugtracker']},
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml', 'LICENSE', 'NOTICE']),
        *(
            (f'share/{PACKAGE}/{folder}', sorted(filter(isfile, glob(f'{folder}/*'))))
            for folder in FOLDERS
        ),
    ],
    python_requires='>=3.10',
    install_requires=['setuptools', 'numpy', 'opencv-python-headless>=4.5', 'onnxruntime'],
    extras_require={
        'torch': ['torch', 'onnx'],
        'convert': ['torch', 'onnx', 'tflite', 'flatbuffers', 'ai-edge-litert', 'tqdm'],
        'evaluate': ['matplotlib', 'tqdm'],
        # The reference node of --ros also needs cv_bridge: see docs/performance.md.
        'benchmark': ['matplotlib', 'tqdm', 'ai-edge-litert'],
        'docs': ['furo>=2024.8', 'myst-parser>=4,<6', 'sphinx>=8.1,<10'],
        'quick': QUICK,
        'test': [
            *QUICK,
            'ai-edge-litert==2.3.0',
            'coverage>=7.10',
            'ipykernel',
            'mypy==1.18.*',
            'nbclient',
            'onnx',
            'ruff==0.14.*',
            'torch==2.13.0',
        ],
    },
    zip_safe=False,
    entry_points={
        'console_scripts': [
            f'blazeface = {PACKAGE}.__main__:main',
            f'detector_node = {PACKAGE}.ros.programs:detector_node',
            f'media_publisher_node = {PACKAGE}.ros.programs:media_publisher_node',
        ],
    },
)

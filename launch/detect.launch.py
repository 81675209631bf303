"""Starts the detector.

ros2 launch blazeface_ros detect.launch.py image_topic:=/camera/image_raw
"""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

#: Arguments that are parameters of the node: name, type, default, description.
PARAMETERS = (
    ('model', str, 'back', 'The network: a name or a model file.'),
    ('backend', str, 'onnxruntime', 'What runs the network.'),
    ('device', str, 'auto', 'Where the network runs, as the backend names it.'),
    ('overlay', bool, 'true', 'Whether to offer faces/overlay.'),
    ('use_sim_time', bool, 'false', 'Whether time comes from /clock.'),
)


def generate_launch_description() -> LaunchDescription:
    default_parameters = PathJoinSubstitution(
        [FindPackageShare('blazeface_ros'), 'config', 'detect.yaml']
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'image_topic', default_value='image_raw', description="The camera's images."
            ),
            DeclareLaunchArgument(
                'namespace', default_value='', description='Namespace of the node and its topics.'
            ),
            DeclareLaunchArgument(
                'params_file',
                default_value=default_parameters,
                description='Parameters of the node; the arguments here come before it.',
            ),
            DeclareLaunchArgument(
                'log_level',
                default_value='info',
                choices=['debug', 'info', 'warn', 'error', 'fatal'],
                description='What the node logs.',
            ),
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, _, default, description in PARAMETERS
            ),
            Node(
                package='blazeface_ros',
                executable='detector_node',
                name='detector',
                namespace=LaunchConfiguration('namespace'),
                output='screen',
                parameters=[
                    LaunchConfiguration('params_file'),
                    {
                        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
                        for name, kind, _, _ in PARAMETERS
                    },
                ],
                remappings=[('image_raw', LaunchConfiguration('image_topic'))],
                ros_arguments=['--log-level', ['detector:=', LaunchConfiguration('log_level')]],
            ),
        ]
    )

"""Start the detector.

ros2 launch blazeface_ros detect.launch.py image_topic:=/camera/image_raw
"""

import os
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from launch_ros.utilities import prefix_namespace

#: Arguments that are parameters of the node: name, type, description.
PARAMETERS = (
    ('model', str, 'The network: back, front, full_range, full_range_sparse, or a model file'),
    ('backend', str, 'The library that runs the network'),
    ('device', str, 'The device that runs the network, as the backend names it'),
    ('overlay', bool, 'Whether to offer faces/overlay'),
    ('use_sim_time', bool, 'Whether the node takes its time from /clock'),
)


def generate_launch_description() -> LaunchDescription:
    default_parameters = PathJoinSubstitution(
        [FindPackageShare('blazeface_ros'), 'config', 'detect.yaml']
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'image_topic', default_value='image_raw', description='Topic of the images.'
            ),
            DeclareLaunchArgument(
                'namespace', default_value='', description='Namespace of the node and its topics.'
            ),
            DeclareLaunchArgument(
                'params_file',
                default_value=default_parameters,
                description='YAML file with parameters of the node. Launch arguments overrule it.',
            ),
            DeclareLaunchArgument(
                'log_level',
                default_value='info',
                choices=['debug', 'info', 'warn', 'error', 'fatal'],
                description='The least severe messages that the node logs.',
            ),
            *(
                DeclareLaunchArgument(
                    name, default_value='', description=f'{description}. Empty: as in params_file.'
                )
                for name, _, description in PARAMETERS
            ),
            DeclareLaunchArgument(
                'fastdds_profile',
                default_value=PathJoinSubstitution(
                    [FindPackageShare('blazeface_ros'), 'config', 'fastdds_images.xml']
                ),
                description='Fast DDS profile that carries images in shared memory. The process of '
                'the camera must load it, too. Empty: no profile.',
            ),
            # The old and the new name of the same variable. A variable that is set already is kept.
            *(
                SetEnvironmentVariable(
                    variable,
                    LaunchConfiguration('fastdds_profile'),
                    condition=IfCondition(
                        PythonExpression(
                            [
                                repr(variable not in os.environ),
                                " and '",
                                LaunchConfiguration('fastdds_profile'),
                                "' != ''",
                            ]
                        )
                    ),
                )
                for variable in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
            ),
            OpaqueFunction(function=detector),
        ]
    )


def detector(context: LaunchContext) -> list[Node]:
    """The node. Parameters without a launch argument are left to params_file."""
    given = context.launch_configurations
    if not Path(given['params_file']).is_file():
        raise FileNotFoundError(
            f"params_file '{given['params_file']}' does not exist: give the path of a YAML file"
        )
    parameters = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, kind, _ in PARAMETERS
        if given[name]
    }
    # The name of the node's logger includes its namespace.
    namespace = prefix_namespace(given.get('ros_namespace'), given['namespace'])
    logger = '.'.join([*filter(None, namespace.split('/')), 'detector'])
    return [
        Node(
            package='blazeface_ros',
            executable='detector_node',
            name='detector',
            namespace=LaunchConfiguration('namespace'),
            output='screen',
            parameters=[LaunchConfiguration('params_file'), *([parameters] if parameters else [])],
            remappings=[('image_raw', LaunchConfiguration('image_topic'))],
            ros_arguments=['--log-level', [f'{logger}:=', LaunchConfiguration('log_level')]],
        )
    ]

"""Show the detector on a picture, a video or a webcam.

ros2 launch blazeface_ros demo.launch.py source:=0
"""

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, LogInfo, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    share = FindPackageShare('blazeface_ros')
    namespace = LaunchConfiguration('namespace')
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'source',
                default_value='',
                description='A picture, a folder, a video or the index of a webcam. '
                'Empty: the bundled picture.',
            ),
            DeclareLaunchArgument(
                'rate',
                default_value='0.0',
                description='Frames per second. 0 takes the rate of the source.',
            ),
            # The arguments of detect.launch.py can be given here as well.
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(
                    PathJoinSubstitution([share, 'launch', 'detect.launch.py'])
                )
            ),
            Node(
                package='blazeface_ros',
                executable='media_publisher_node',
                name='media_publisher',
                namespace=namespace,
                output='screen',
                parameters=[
                    {
                        'source': ParameterValue(LaunchConfiguration('source'), value_type=str),
                        # Without a type: the node itself says what is allowed.
                        'rate': ParameterValue(LaunchConfiguration('rate')),
                    }
                ],
                remappings=[('image_raw', LaunchConfiguration('image_topic'))],
                on_exit=Shutdown(reason='the media publisher has ended'),
            ),
            rviz(share, namespace),
        ]
    )


def rviz(share: FindPackageShare, namespace: LaunchConfiguration) -> Node | LogInfo:
    """rviz2 with the overlay, if it is installed."""
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        return LogInfo(msg='rviz2 is not installed: watch faces/overlay with another viewer')
    return Node(
        package='rviz2',
        executable='rviz2',
        namespace=namespace,
        arguments=['-d', PathJoinSubstitution([share, 'config', 'faces.rviz'])],
    )

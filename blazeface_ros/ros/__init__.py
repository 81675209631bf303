"""The only folder that knows ROS."""

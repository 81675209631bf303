"""From frames to faces: plain Python that knows neither ROS nor files."""

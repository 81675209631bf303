"""Pictures, videos and webcams as streams of frames."""

"""Makes pictures/scene.jpg, with five faces of several sizes, from pictures/astronaut.png.

Usage: make_scene.py
"""

from pathlib import Path

import cv2
import numpy as np

PICTURES = Path(__file__).parents[1] / 'pictures'
#: Rows and columns of the head and shoulders.
PORTRAIT = (slice(20, 280), slice(90, 340))
FRAME_COLOR, MOUNT_COLOR = (40, 60, 80), (225, 232, 235)

#: For each portrait on the wall: left, top and height in pixels, and whether it is mirrored.
PORTRAITS = (
    (60, 60, 560, False),
    (660, 50, 300, True),
    (1000, 60, 250, False),
    (680, 430, 230, False),
    (960, 400, 270, True),
)


def make_scene(astronaut: np.ndarray) -> np.ndarray:
    """Hang portraits on a wall.

    Args:
        astronaut: uint8 [512, 512, 3] bgr.

    Returns:
        uint8 [720, 1280, 3] bgr.
    """
    portrait = astronaut[PORTRAIT]
    # A wall with light from the upper left.
    y, x = np.mgrid[0:720, 0:1280].astype(np.float32)
    light = 1 - 0.35 * (x / 1280 + y / 720) / 2
    scene = np.clip(np.array([168, 190, 196]) * light[..., None], 0, 255).astype(np.uint8)
    for left, top, height, mirrored in PORTRAITS:
        width = round(height * portrait.shape[1] / portrait.shape[0])
        picture = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)
        if mirrored:
            picture = picture[:, ::-1]
        picture = cv2.copyMakeBorder(
            picture, 10, 10, 10, 10, cv2.BORDER_CONSTANT, value=MOUNT_COLOR
        )
        picture = cv2.copyMakeBorder(picture, 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=FRAME_COLOR)
        rows, columns = picture.shape[:2]
        scene[top - 16 : top - 16 + rows, left - 16 : left - 16 + columns] = picture
    return scene


def main() -> None:
    scene = make_scene(cv2.imread(str(PICTURES / 'astronaut.png')))
    cv2.imwrite(str(PICTURES / 'scene.jpg'), scene, [cv2.IMWRITE_JPEG_QUALITY, 92])


if __name__ == '__main__':
    main()

"""Measures what a scan finds and what it costs, on clips of walking people, for docs/range.md.

Heads of the bundled pictures, 32 to 200 pixels wide, walk through 1920 x 1080 at 10 Hz. Half of
them pass behind a pillar. Recall, false positives and changed ids are printed for an exhaustive
search and for a scan, and the time for a frame as a multiple of one pass over the whole frame.

Usage: measure_scan.py [--smallest-face 32] [--tiles 3] [--clips 5] [--seconds 20]
                       [--ground-truth FILE]
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

from blazeface_ros import FaceDetector, FacePipeline, PipelineSettings
from blazeface_ros.core.tiling import plan_tiles
from blazeface_ros.lab.clips import ClipFrame, Head, cut_heads, walking_clip
from blazeface_ros.lab.evaluation import FALSE_POSITIVE, IOU_THRESHOLDS, match
from blazeface_ros.lab.ground_truth import GroundTruth, read_ground_truth
from blazeface_ros.lab.scenes import HEIGHT, WIDTH
from blazeface_ros.recordings.media import read_picture

PICTURES = Path(__file__).parents[1] / 'pictures'
PEOPLE, RATE = 6, 10.0


class Search:
    """One way of searching, and what it has found in all clips so far.

    Attributes:
        settings: of the search.
        seconds: the time for each frame.
        counts: numbers of visible faces, found faces, false positives, and changed ids.
    """

    def __init__(self, settings: PipelineSettings) -> None:
        self.settings = settings
        self.seconds: list[float] = []
        self.counts: Counter[str] = Counter()

    def begin_clip(self, detector: FaceDetector) -> None:
        """Start anew, without any knowledge of the last clip."""
        self._pipeline = FacePipeline.from_detector(detector, self.settings)
        self._first_seen: dict[int, int] = {}
        self._ids: dict[int, str] = {}

    def process(self, number: int, frame: ClipFrame) -> None:
        """Search the next frame of the clip, and count what was found."""
        begin = time.perf_counter()
        result = self._pipeline.process(frame.pixels, number / RATE)
        self.seconds.append(time.perf_counter() - begin)
        matched = match(result.faces, frame.truth, IOU_THRESHOLDS[0])
        self.counts['false positives'] += int((matched == FALSE_POSITIVE).sum())
        for i in np.nonzero(frame.visible)[0]:
            person = int(frame.persons[i])
            hits = np.nonzero(matched == i)[0]
            # A scan may need this many frames to search all tiles. Earlier misses do not count.
            visible_for = number - self._first_seen.setdefault(person, number)
            if visible_for >= 2 * len(result.plan.tiles):
                self.counts['visible'] += 1
                self.counts['found'] += len(hits) > 0
            if len(hits):
                now = result.faces.ids[hits[0]]
                self.counts['changed ids'] += self._ids.get(person, now) != now
                self._ids[person] = now

    def row(self, name: str, clips: int, one_pass: float) -> str:
        """The line of the table.

        Args:
            name: what the table calls the search.
            clips: the number of clips.
            one_pass: seconds for one pass over a whole frame.
        """
        counts, cost = self.counts, float(np.median(self.seconds))
        recall = counts['found'] / counts['visible'] if counts['visible'] else float('nan')
        persons = f'{counts["changed ids"]} of {clips * PEOPLE}'
        return (
            f'{name:10}  {recall:6.3f}  {counts["false positives"]:15}  {persons:>22}  '
            f'{cost * 1e3:10.1f}  {cost / one_pass:6.2f}'
        )


def read_heads(detector: FaceDetector, ground_truth: str | None) -> list[Head]:
    """Cut the heads out of the bundled pictures and, if given, of annotated ones."""
    photos = [read_picture(PICTURES / name) for name in ('scene.jpg', 'astronaut.png')]
    samples = [(photo, GroundTruth.from_lists(detector.detect(photo).boxes)) for photo in photos]
    if ground_truth:
        annotated = read_ground_truth(ground_truth)
        samples += [(read_picture(picture.file), picture.truth) for picture in annotated]
    return cut_heads(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description='Measure a scan on clips of walking people.')
    parser.add_argument(
        '--smallest-face', type=int, default=32, help='in pixels of the frame (default: 32)'
    )
    parser.add_argument(
        '--tiles', type=int, default=3, help='tiles per frame of the scan (default: 3)'
    )
    parser.add_argument('--clips', type=int, default=5, help='number of clips (default: 5)')
    parser.add_argument(
        '--seconds', type=float, default=20.0, help='length of a clip (default: 20)'
    )
    parser.add_argument('--ground-truth', help='more heads, as for blazeface evaluate')
    options = parser.parse_args()
    detector = FaceDetector(threads=1)
    heads = read_heads(detector, options.ground_truth)
    common = {'smallest_face': options.smallest_face, 'tracking': True}
    scan = PipelineSettings(search='scan', tiles_per_frame=options.tiles, **common)
    searches = {'exhaustive': Search(PipelineSettings(**common)), 'scan': Search(scan)}
    whole = []
    frames = round(options.seconds * RATE)
    progress = tqdm(total=options.clips * frames, disable=not sys.stderr.isatty(), leave=False)
    for clip in range(options.clips):
        for search in searches.values():
            search.begin_clip(detector)
        for number, frame in enumerate(walking_clip(heads, PEOPLE, options.seconds, RATE, clip)):
            begin = time.perf_counter()
            detector.detect(frame.pixels)
            whole.append(time.perf_counter() - begin)
            for search in searches.values():
                search.process(number, frame)
            progress.update()
    progress.close()
    share = detector.model.smallest_share
    tiles = len(plan_tiles(WIDTH, HEIGHT, options.smallest_face, share).tiles)
    print(f'{tiles} tiles, each within {2 * tiles} frames of a scan')
    print('search      recall  false positives  changed ids of persons  ms a frame  passes')
    for name, search in searches.items():
        print(search.row(name, options.clips, float(np.median(whole))))


if __name__ == '__main__':
    main()

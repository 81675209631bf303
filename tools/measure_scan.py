"""What a scan finds and costs, on a clip of people who walk through: the figures of docs/range.md.

Heads of the bundled pictures, 32 to 200 pixels wide, walk through 1920 x 1080 at 10 Hz; half of
them pass behind a pillar. Prints recall, false positives and changed ids of the exhaustive search
and of a scan, and what a frame costs beside one look at the whole.

Usage: measure_scan.py [--smallest-face 32] [--windows 3] [--clips 5] [--ground-truth FILE]
"""

import argparse
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from blazeface_ros import FaceDetector
from blazeface_ros.core.scan import Search, Stream
from blazeface_ros.core.tiles import Frame
from blazeface_ros.lab.evaluation import FALSE_POSITIVE, GroundTruth, match, read_ground_truth
from blazeface_ros.lab.scenes import cut_heads, walking_clip
from blazeface_ros.recordings.media import read_picture

PICTURES = Path(__file__).parents[1] / 'pictures'
PEOPLE, SECONDS, RATE = 6, 20.0, 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description='Measure a scan on clips of walking people.')
    parser.add_argument('--smallest-face', type=int, default=32)
    parser.add_argument('--windows', type=int, default=3, help='a frame')
    parser.add_argument('--clips', type=int, default=5)
    parser.add_argument('--ground-truth', help='more heads, as for blazeface evaluate')
    options = parser.parse_args()
    whole = FaceDetector(threads=1)
    detector = FaceDetector(threads=1, smallest_face=options.smallest_face)
    photos = [read_picture(PICTURES / name) for name in ('scene.jpg', 'astronaut.png')]
    samples = [(photo, GroundTruth.of(whole.detect(photo).boxes)) for photo in photos]
    if options.ground_truth:
        annotated = read_ground_truth(options.ground_truth)
        samples += [(read_picture(picture.file), picture.truth) for picture in annotated]
    heads = cut_heads(samples)
    searches = {
        'exhaustive': Search(tracking=True),
        'scan': Search(scan=True, windows_per_frame=options.windows, tracking=True),
    }
    seconds = defaultdict(list)
    counts: Counter[tuple[str, str]] = Counter()
    frames = round(SECONDS * RATE)
    progress = tqdm(total=options.clips * frames, disable=not sys.stderr.isatty(), leave=False)
    for clip in range(options.clips):
        streams = {name: Stream() for name in searches}
        first_seen: dict[int, int] = {}
        ids: dict[tuple[str, int], str] = {}
        for i, shown in enumerate(walking_clip(heads, PEOPLE, SECONDS, RATE, clip)):
            progress.update()
            frame = Frame(shown.pixels)
            begin = time.perf_counter()
            whole.detect(frame)
            seconds['one look'].append(time.perf_counter() - begin)
            for name, search in searches.items():
                begin = time.perf_counter()
                (faces,) = search.detect(detector, [frame], [streams[name]], [i / RATE])
                seconds[name].append(time.perf_counter() - begin)
                matched = match(faces, shown.truth, 0.4)
                counts[name, 'false'] += int((matched == FALSE_POSITIVE).sum())
                for person in np.nonzero(shown.visible)[0]:
                    number = int(shown.persons[person])
                    since = i - first_seen.setdefault(number, i)
                    hits = np.nonzero(matched == person)[0]
                    if since >= streams['scan'].bound:
                        counts[name, 'visible'] += 1
                        counts[name, 'found'] += len(hits) > 0
                    if len(hits):
                        now = faces.ids[hits[0]]
                        counts[name, 'changed'] += ids.get((name, number), now) != now
                        ids[name, number] = now
    progress.close()
    plan = detector.plan(1920, 1080)
    print(f'{len(plan.windows)} windows, each within {2 * len(plan.windows)} images of a scan')
    print('search      recall  false positives  changed ids of persons  ms a frame  looks')
    one_look = np.median(seconds['one look'])
    for name in searches:
        cost = np.median(seconds[name])
        recall = counts[name, 'found'] / counts[name, 'visible']
        persons = f'{counts[name, "changed"]} of {options.clips * PEOPLE}'
        print(
            f'{name:10}  {recall:6.3f}  {counts[name, "false"]:15}  {persons:>22}  '
            f'{cost * 1e3:10.1f}  {cost / one_look:5.2f}'
        )


if __name__ == '__main__':
    main()

"""Compressed pictures are decoded only if their headers are acceptable."""

import array
import itertools
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from shared import PICTURES

from blazeface_ros.core import compressed
from blazeface_ros.core.compressed import (
    MOST_PIXELS,
    MOST_PNG_METADATA,
    MOST_SCANS,
    MOST_SEGMENTS,
    MOST_TILE_PIXELS,
    NETWORK_FORMATS,
    PICTURE_FORMATS,
    decompress,
    read_header,
)
from blazeface_ros.errors import ImageError

WIDTH, HEIGHT = 203, 101
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
REDUCED = {
    cv2.IMREAD_REDUCED_COLOR_2: 2,
    cv2.IMREAD_REDUCED_COLOR_4: 4,
    cv2.IMREAD_REDUCED_COLOR_8: 8,
}


def encoded(suffix, pixels=PIXELS, *options):
    """A picture as bytes, written by OpenCV."""
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


JPEG, PNG = encoded('.jpg'), encoded('.png')


def segment(marker, content):
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack('>H', len(content) + 2) + content


def tiff(order, *tags):
    """The beginning of a TIFF with some tags: number, type, value."""
    entries = [
        struct.pack(f'{order}HHI', tag, kind, 1)
        + struct.pack(f'{order}{"I" if kind == 4 else "Hxx"}', value)
        for tag, kind, value in tags
    ]
    mark = b'II*\0' if order == '<' else b'MM\0*'
    return mark + struct.pack(f'{order}IH', 8, len(tags)) + b''.join(entries)


FILES = {
    'a baseline JPEG': ('JPEG', JPEG),
    'a progressive JPEG': ('JPEG', encoded('.jpg', PIXELS, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    'a grey JPEG': ('JPEG', encoded('.jpg', PIXELS[..., 0])),
    'a PNG': ('PNG', PNG),
    'a PNG of 16 bits': ('PNG', encoded('.png', PIXELS[..., 0].astype(np.uint16))),
    'a BMP': ('BMP', encoded('.bmp')),
    'a text PNM': ('PNM', encoded('.ppm', PIXELS, cv2.IMWRITE_PXM_BINARY, 0)),
    'a binary PNM': ('PNM', encoded('.ppm')),
    'a grey PNM': ('PNM', encoded('.pgm', PIXELS[..., 0])),
    'a PNM of bits': ('PNM', encoded('.pbm', PIXELS[..., 0])),
    'a TIFF': ('TIFF', encoded('.tif')),
    'a lossy WebP': ('WebP', encoded('.webp', PIXELS, cv2.IMWRITE_WEBP_QUALITY, 80)),
    'a lossless WebP': ('WebP', encoded('.webp', PIXELS, cv2.IMWRITE_WEBP_QUALITY, 101)),
}


@pytest.mark.parametrize(('name', 'data'), FILES.values(), ids=FILES)
def test_a_header_tells_format_and_size_and_the_picture_is_decoded(name, data):
    for given in (data, memoryview(data), array.array('B', data), np.frombuffer(data, np.uint8)):
        assert read_header(given) == (name, WIDTH, HEIGHT)
        assert decompress(given).shape == (HEIGHT, WIDTH, 3)


HEADERS = {
    'a BMP whose upper row comes first': (
        b'BM' + bytes(12) + struct.pack('<Iii', 40, 7, -5),
        ('BMP', 7, 5),
    ),
    'a BMP of OS/2': (b'BM' + bytes(12) + struct.pack('<IHH', 12, 7, 5), ('BMP', 7, 5)),
    'a PNM with comments': (b'P6 # one\n# two\n7\t# three\n5 255\n', ('PNM', 7, 5)),
    'a TIFF with the least significant byte first': (
        tiff('<', (256, 3, 7), (257, 4, 5)),
        ('TIFF', 7, 5),
    ),
    'a TIFF with the most significant byte first': (
        tiff('>', (256, 4, 7), (257, 3, 5)),
        ('TIFF', 7, 5),
    ),
    'a WebP with extensions': (
        b'RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0' + b'\x06\0\0\x04\0\0',
        ('WebP', 7, 5),
    ),
    'a JPEG with bytes between its segments': (
        b'\xff\xd8\xff\xe0\0\4ab' + b'cd\xff\0\xff\xff' + segment(0xC0, b'\x08\0\5\0\7'),
        ('JPEG', 7, 5),
    ),
}


@pytest.mark.parametrize(('data', 'header'), HEADERS.values(), ids=HEADERS)
def test_unusual_headers_are_read(data, header):
    assert read_header(data) == header


@pytest.mark.parametrize(('name', 'data'), FILES.values(), ids=FILES)
def test_a_header_that_is_cut_off_is_an_error_wherever_it_is_cut(name, data):
    for length in range(len(data)):
        try:
            header = read_header(data[:length])
        except ImageError:
            continue
        assert header == (name, WIDTH, HEIGHT)  # the header is complete
        break
    assert length > 10


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'no picture',
        b'GIF89a' + bytes(100),
        b'II\x2b\0\x08\0\0\0' + bytes(100),  # BigTIFF
        b'\xff\xd8\xff' + bytes(100),
        b'\xff\xd8' + segment(0xDA, bytes(10)) + segment(0xC0, b'\x08\0\5\0\7'),
        b'\xff\xd8\xff\xc0\0\0\x08\0\5\0\7',
        b'\xff\xd8' + segment(0xC0, b'\x08\0\0\0\7'),
        PNG[:12] + b'tEXt' + PNG[16:],
        b'P6 7 ' + b' ' * 10000 + b'5 255\n',
        b'P6 7 -5 255\n',
        b'BM' + bytes(12) + struct.pack('<Iii', 40, -7, 5),
        tiff('<', (257, 3, 5)),
        tiff('<', (256, 12, 7), (257, 3, 5)),
        tiff('<', (256, 3, 7), (257, 3, 5), (322, 4, MOST_TILE_PIXELS), (323, 4, 2)),
        b'II*\0\xff\xff\xff\xff' + bytes(100),
        b'RIFF\0\0\0\0WEBPALPH' + bytes(100),
    ],
)
def test_what_is_no_picture_is_refused_with_a_sentence(data):
    for read in (read_header, decompress):
        with pytest.raises(ImageError) as error:
            read(data)
        assert 20 < len(str(error.value)) < 200
        assert '\n' not in str(error.value)


def test_other_formats_are_named_with_those_that_are_supported():
    with pytest.raises(ImageError, match=r'begin with 47 49 46 .* JPEG, PNG, BMP, PNM, TIFF and W'):
        read_header(b'GIF89a' + bytes(100))
    for suffix in ('.bmp', '.ppm', '.tif', '.webp'):
        with pytest.raises(ImageError, match='are not read here, only JPEG and PNG'):
            decompress(encoded(suffix), formats=NETWORK_FORMATS)
    assert all(decompress(data, formats=NETWORK_FORMATS).size for data in (JPEG, PNG))


def declares(data, width, height):
    """A picture whose header declares another size: a JPEG or PNG."""
    if data[:2] == b'\xff\xd8':
        at = data.index(b'\xff\xc0') + 5
        return data[:at] + struct.pack('>HH', height, width) + data[at + 4 :]
    return data[:16] + struct.pack('>II', width, height) + data[24:]


@pytest.mark.parametrize('data', [JPEG, PNG])
def test_a_picture_that_declares_too_many_pixels_is_refused_before_it_takes_memory(data):
    bomb = declares(data, 32766, 32766)
    tracemalloc.start()
    with pytest.raises(ImageError) as error:
        decompress(bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for fragment in ('32766 x 32766', f'{MOST_PIXELS:,}', 'max_image_pixels'):
        assert fragment in str(error.value)
    assert most < len(bomb)


def test_the_limit_is_on_the_full_size_and_includes_itself():
    for flags in (cv2.IMREAD_COLOR, *REDUCED):
        assert decompress(JPEG, max_pixels=WIDTH * HEIGHT, flags=flags).size
        with pytest.raises(ImageError, match='max_image_pixels'):
            decompress(JPEG, max_pixels=WIDTH * HEIGHT - 1, flags=flags)


@pytest.mark.parametrize(('name', 'data'), FILES.values(), ids=FILES)
def test_pictures_are_also_decoded_smaller(name, data):
    for flags, reduction in REDUCED.items():
        rounded = [-(-side // reduction) for side in (HEIGHT, WIDTH)]
        if name != 'JPEG':
            rounded = [HEIGHT // reduction, WIDTH // reduction]
        assert decompress(data, flags=flags).shape == (*rounded, 3)


def test_a_picture_too_small_to_be_made_smaller_is_refused_with_a_sentence():
    with pytest.raises(ImageError, match='3 x 2 cannot be decoded'):
        decompress(encoded('.png', PIXELS[:2, :3]), flags=cv2.IMREAD_REDUCED_COLOR_8)


def test_a_jpeg_may_be_turned_by_its_orientation():
    entry = struct.pack('>HHIHxx', 0x112, 3, 1, 6)
    exif = b'Exif\0\0MM\0*\0\0\0\x08\0\1' + entry + bytes(4)
    data = JPEG[:2] + segment(0xE1, exif) + JPEG[2:]
    assert decompress(data).shape == (WIDTH, HEIGHT, 3)
    kept = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    assert decompress(data, flags=kept).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize('rubbish', [b'', b'\0' * 100, b'ftypmp42' * 100, JPEG[:1000]])
def test_bytes_after_the_end_of_a_jpeg_do_not_matter(rubbish):
    np.testing.assert_array_equal(decompress(JPEG + rubbish), decompress(JPEG))


@pytest.mark.parametrize('progressive', [0, 1])
@pytest.mark.parametrize('padding', [b'', b'\0' * 100_000])
def test_a_jpeg_that_is_cut_off_is_refused(progressive, padding):
    data = encoded('.jpg', PIXELS, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    thumbnail = segment(0xE1, encoded('.jpg', PIXELS[:16, :16]))  # with an end of its own
    data = data[:2] + thumbnail + data[2:]
    decompress(data + padding)
    for length in (len(data) - 1, len(data) - 2, len(data) // 2):
        with pytest.raises(ImageError, match='cut off'):
            decompress(data[:length] + padding)


def with_scans(count):
    """A grey JPEG of 8 x 8 pixels with so many scans."""
    table = segment(0xDB, b'\0' + b'\1' * 64)
    frame = segment(0xC2, struct.pack('>BHHB', 8, 8, 8, 1) + b'\1\x11\0')
    codes = segment(0xC4, b'\0\1' + bytes(15) + b'\0') + segment(
        0xC4, b'\x10\1' + bytes(15) + b'\0'
    )
    first = segment(0xDA, b'\1\1\0\0\0\0') + b'\0'
    # A segment may contain what looks like an end-of-image marker.
    comment = segment(0xFE, b'\xff\xd9')
    others = (segment(0xDA, b'\1\1\0\1\x3f\0') + b'\0') * (count - 1)
    return b'\xff\xd8' + table + frame + codes + first + comment + others + b'\xff\xd9'


def test_a_jpeg_with_more_scans_than_any_encoder_writes_is_refused():
    assert decompress(with_scans(MOST_SCANS)).shape == (8, 8, 3)
    for count in (MOST_SCANS + 1, 100_000):
        with pytest.raises(ImageError, match=f'more than {MOST_SCANS} scans'):
            decompress(with_scans(count))


def test_a_jpeg_with_more_segments_than_any_encoder_writes_is_refused():
    data = JPEG[:2] + segment(0xFE, b'') * MOST_SEGMENTS + JPEG[2:]
    for read in (read_header, decompress):
        with pytest.raises(ImageError, match=f'more than {MOST_SEGMENTS} segments'):
            read(data)


@pytest.mark.parametrize('kind', [b'zTXt', b'iTXt', b'iCCP'])
def test_a_png_with_more_compressed_metadata_than_any_encoder_writes_is_refused(kind):
    text = zlib.compress(bytes(7_000_000))
    content = kind + b'text\0' + (b'\1\0\0\0' if kind == b'iTXt' else b'\0') + text
    length, checksum = (
        struct.pack('>I', value) for value in (len(content) - 4, zlib.crc32(content))
    )
    chunk = length + content + checksum
    begin, end = PNG[:33], PNG[33:]  # the signature and IHDR
    # It may follow the pixels as well, and then the picture is still read to its end.
    at_most = begin + chunk + end[:-12] + chunk * (MOST_PNG_METADATA - 1) + end[-12:]
    assert decompress(at_most).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ImageError, match=f'more than {MOST_PNG_METADATA} compressed texts'):
        decompress(begin + chunk + at_most[33:])


@pytest.mark.parametrize(('name', 'data'), FILES.values(), ids=FILES)
def test_damaged_pictures_are_decoded_or_refused_but_nothing_else(name, data):
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(100):
        damaged = np.frombuffer(data, np.uint8).copy()
        places = random.integers(0, min(len(damaged), 400), 5)
        damaged[places] = random.integers(0, 256, len(places))
        try:
            assert decompress(damaged, max_pixels=10**6).shape[2] == 3
        except ImageError:
            refused += 1
    assert refused


def test_the_bundled_pictures_are_acceptable():
    for file, flags in itertools.product(PICTURES.iterdir(), (cv2.IMREAD_COLOR, *REDUCED)):
        assert decompress(file.read_bytes(), formats=NETWORK_FORMATS, flags=flags).size


def test_the_limits_stand_above_what_robots_use():
    assert MOST_PIXELS >= 2 * 7680 * 4320 - 2**20
    assert MOST_PIXELS <= compressed.MOST_PIXELS_OF_OPENCV
    assert set(NETWORK_FORMATS) < set(PICTURE_FORMATS)

"""Decodes compressed pictures, after a look at their headers.

A file of some kilobytes can declare a picture that takes gigabytes of memory and seconds of work
to decode. So the header is read first, without decoding.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.errors import ImageError

Pixels = npt.NDArray[np.uint8]
#: The bytes of a compressed picture. They are not copied.
Data: TypeAlias = 'bytes | memoryview | array[int] | Pixels'

#: What `read_header` knows.
PICTURE_FORMATS = ('JPEG', 'PNG', 'BMP', 'PNM', 'TIFF', 'WebP')
#: What is decoded of messages. Decoders of other formats stay out of reach of the network.
NETWORK_FORMATS = ('JPEG', 'PNG')
#: The default of the parameter max_image_pixels: 67 megapixels, 200 MB of bgr. That is twice 8K
#: video (2**25), so that ordinary cameras stay below it and a small computer survives it.
MOST_PIXELS = 2**26
#: OpenCV decodes nothing larger, and so a higher limit has no effect.
MOST_PIXELS_OF_OPENCV = 2**30
#: Scans in a JPEG, each of which costs a pass over all pixels. Progressive JPEGs usually have 10,
#: or 18 if they are made of four inks.
MOST_SCANS = 64
#: Segments in a JPEG. Ordinary ones have about 10; long colour profiles and the depth maps of
#: phones add up to some hundreds.
MOST_SEGMENTS = 1000
#: Compressed texts and colour profiles in a PNG. Each may take libpng 30 ms to unpack, and few PNGs
#: have more than two.
MOST_PNG_METADATA = 16
#: Pixels in a tile of a TIFF, which is decoded as a whole. Usual are 256 x 256 and 512 x 512.
MOST_TILE_PIXELS = 2**22

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
#: Start of frame: all of C0 to CF but tables (C4), a reserved one (C8) and conditions (CC).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: The next marker. Restart markers and stuffed zeros belong to the coded pixels.
_MARKER = re.compile(rb'\xff+([\x01-\xcf\xd8-\xfe])', re.DOTALL)
#: Chunks of a PNG that libpng unpacks even if nobody wants them.
_PNG_METADATA = (b'zTXt', b'iTXt', b'iCCP')
#: Width and height of a PNM, between which there may be comments.
_PNM = re.compile(rb'P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s')
#: The part of a PNM in which its sizes must stand.
_PNM_HEADER = 4096
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 256, 257, 322, 323
#: Bytes of a TIFF's number, by the number of its type: SHORT and LONG.
_TIFF_TYPES = {3: 2, 4: 4}

#: By how much these flags of OpenCV divide the sides, the most first. JPEGs are decoded so straight
#: from their coefficients.
REDUCTIONS = {
    cv2.IMREAD_REDUCED_COLOR_8: 8,
    cv2.IMREAD_REDUCED_COLOR_4: 4,
    cv2.IMREAD_REDUCED_COLOR_2: 2,
}


class PictureHeader(NamedTuple):
    """What a compressed picture declares.

    Attributes:
        format: one of `PICTURE_FORMATS`.
        width: columns, before the picture is turned by its EXIF orientation.
        height: rows, before the picture is turned.
    """

    format: str
    width: int
    height: int


def read_header(data: Data, formats: Sequence[str] = PICTURE_FORMATS) -> PictureHeader:
    """Read the size of a compressed picture without decoding or copying it.

    Args:
        data: the compressed picture.
        formats: the formats to accept.

    Raises:
        ImageError: if the format is not one of these, or the header is not complete.
    """
    view = _view(data)
    start = bytes(view[:16])
    for name, signature, read in _READERS:
        if signature.match(start):
            if name not in formats:
                raise ImageError(f'pictures in {name} are not read here, only {_listed(formats)}')
            try:
                width, height = read(view)
            except (IndexError, ValueError) as error:
                reason = str(error) or 'it ends too early'
                raise ImageError(f'the header of a {name} cannot be read: {reason}') from None
            if not width or not height:
                raise ImageError(f'a {name} declares no pixels: {width} x {height}')
            return PictureHeader(name, width, height)
    found = f'begin with {start.hex(" ")}' if start else 'are no picture'
    raise ImageError(f'{len(view):,} bytes {found}; supported are pictures in {_listed(formats)}')


def decompress(
    data: Data,
    *,
    formats: Sequence[str] = PICTURE_FORMATS,
    max_pixels: int = MOST_PIXELS,
    flags: int = cv2.IMREAD_COLOR,
) -> Pixels:
    """Decode a compressed picture if its header is acceptable.

    A JPEG that is cut off is refused: OpenCV 5 does not decode it, and older ones fill the rest of
    the picture with what their memory held before. Damage inside a JPEG cannot be noticed: libjpeg
    prints a line on stderr, such as "Corrupt JPEG data: premature end of data segment", for part of
    it and OpenCV then returns a picture like any other, wrong or grey from the damage on.

    Args:
        data: the compressed picture.
        formats: the formats to accept.
        max_pixels: the largest picture to accept, in its full size, whatever the flags.
        flags: of cv2.imdecode, with three channels. `IMREAD_COLOR` turns a picture by its EXIF
            orientation, so that the sides may be swapped. `IMREAD_REDUCED_COLOR_2`, 4 and 8 divide
            the sides and round them up for JPEGs, down for other formats.

    Returns:
        uint8 [H, W, 3] in bgr order.

    Raises:
        ImageError: if the picture cannot be decoded or is refused.
    """
    name, width, height = read_header(data, formats)
    if width * height > max_pixels:
        raise ImageError(
            f'a {name} declares {width} x {height} pixels, above the limit of {max_pixels:,} '
            'pixels; max_image_pixels sets this limit'
        )
    if name == 'JPEG':
        _check_jpeg(data)
    elif name == 'PNG':
        _check_png(data)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f'a {name} of {width} x {height} cannot be decoded: {error.err}') from None
    if pixels is None:
        raise ImageError(f'a {name} of {width} x {height} is damaged: OpenCV cannot decode it')
    reduction = next((n for flag, n in REDUCTIONS.items() if flags & flag == flag), 1)
    for side, declared in zip(sorted(pixels.shape[:2]), sorted((width, height))):
        if side not in (declared // reduction, -(-declared // reduction)):
            raise ImageError(
                f'a {name} declares {width} x {height} pixels, but has {pixels.shape[1]} x '
                f'{pixels.shape[0]} at 1/{reduction} of its size'
            )
    return pixels  # type: ignore[return-value]


def _check_jpeg(data: Data) -> None:
    """Refuse JPEGs that are cut off, or that cost far more than their pixels."""
    view = _view(data)
    # Nearly all JPEGs pass this first look, which takes microseconds.
    values = np.frombuffer(view, np.uint8)
    scans = int(np.count_nonzero((values[:-1] == 0xFF) & (values[1:] == _SOS)))
    if scans <= MOST_SCANS and bytes(view[-2:]) == b'\xff\xd9':
        return
    # Segments may contain such bytes, and cameras pad their data. So all markers are followed.
    scans, ended = 0, False
    try:
        for marker, _ in _jpeg_markers(view):
            scans += marker == _SOS
            ended = marker == _EOI
            if scans > MOST_SCANS:
                raise ImageError(f'a JPEG has more than {MOST_SCANS} scans; ordinary ones have 10')
    except IndexError:
        ended = False
    except ValueError as error:
        raise ImageError(f'the JPEG cannot be read: {error}') from None
    if not ended:
        raise ImageError(f'a JPEG of {len(view):,} bytes is cut off: it has no end-of-image marker')


def _check_png(data: Data) -> None:
    """Refuse PNGs whose metadata cost far more than their pixels."""
    view = _view(data)
    found, position = 0, 8
    while position + 8 <= len(view):
        found += bytes(view[position + 4 : position + 8]) in _PNG_METADATA
        if found > MOST_PNG_METADATA:
            raise ImageError(
                f'a PNG has more than {MOST_PNG_METADATA} compressed texts or colour profiles'
            )
        position += 12 + _number(view, position, 4)  # length, kind, content and checksum


def _jpeg_markers(view: memoryview) -> Iterator[tuple[int, int]]:
    """Go through the markers as libjpeg does, which skips bytes that it does not expect.

    Yields:
        A marker, and where its segment begins. The last one is the end-of-image marker, if there
        is one.

    Raises:
        IndexError: if a segment is cut off.
        ValueError: if there are too many segments.
    """
    position = 2
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(view, position)
        if found is None:
            return
        marker, position = found[1][0], found.end()
        length = 0
        # Markers below C0 are reserved or have no segment; libjpeg skips nothing after them.
        if marker >= min(_SOF) and marker not in (_SOI, _EOI):
            length = _number(view, position, 2)
            if length < 2:
                raise ValueError(f'the segment of marker {marker:02x} has length {length}')
        yield marker, position
        if marker == _EOI:
            return
        position += length
    raise ValueError(f'it has more than {MOST_SEGMENTS} segments')


def _jpeg_size(view: memoryview) -> tuple[int, int]:
    for marker, position in _jpeg_markers(view):
        if marker in _SOF:  # length, bits of a sample, height, width
            return _number(view, position + 5, 2), _number(view, position + 3, 2)
        if marker == _SOS:
            break
    raise ValueError('its size is missing')


def _png_size(view: memoryview) -> tuple[int, int]:
    if bytes(view[12:16]) != b'IHDR':
        raise ValueError('its first chunk is not IHDR')
    return _number(view, 16, 4), _number(view, 20, 4)


def _bmp_size(view: memoryview) -> tuple[int, int]:
    if _number(view, 14, 4, 'little') == 12:  # the header of OS/2
        return _number(view, 18, 2, 'little'), _number(view, 20, 2, 'little')
    # A negative height means that the upper row comes first.
    width, height = (_number(view, at, 4, 'little', signed=True) for at in (18, 22))
    if width < 0:
        raise ValueError(f'its width is {width}')
    return width, abs(height)


def _pnm_size(view: memoryview) -> tuple[int, int]:
    found = _PNM.match(view[:_PNM_HEADER])
    if found is None:
        raise ValueError('its width and height are missing')
    return int(found[1]), int(found[2])


def _tiff_size(view: memoryview) -> tuple[int, int]:
    order = 'little' if view[0] == ord('I') else 'big'
    directory = _number(view, 4, 4, order)
    wanted = _TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT
    values: dict[int, int] = {}
    for entry in range(_number(view, directory, 2, order)):
        position = directory + 2 + 12 * entry
        tag, kind = (_number(view, position + at, 2, order) for at in (0, 2))
        if tag in wanted and tag not in values:  # of several, libtiff takes the first one, too
            if kind not in _TIFF_TYPES:
                raise ValueError(f'its tag {tag} has type {kind}')
            values[tag] = _number(view, position + 8, _TIFF_TYPES[kind], order)
    if _TIFF_WIDTH not in values or _TIFF_HEIGHT not in values:
        raise ValueError('its width or height is missing')
    if values.get(_TIFF_TILE_WIDTH, 0) * values.get(_TIFF_TILE_HEIGHT, 0) > MOST_TILE_PIXELS:
        raise ValueError(f'its tiles have more than {MOST_TILE_PIXELS:,} pixels')
    return values[_TIFF_WIDTH], values[_TIFF_HEIGHT]


def _webp_size(view: memoryview) -> tuple[int, int]:
    kind = bytes(view[12:16])
    if kind == b'VP8X':
        return _number(view, 24, 3, 'little') + 1, _number(view, 27, 3, 'little') + 1
    if kind == b'VP8L' and view[20] == 0x2F:
        bits = _number(view, 21, 4, 'little')
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b'VP8 ' and bytes(view[23:26]) == b'\x9d\x01\x2a':
        return _number(view, 26, 2, 'little') & 0x3FFF, _number(view, 28, 2, 'little') & 0x3FFF
    raise ValueError('its first chunk is none of VP8, VP8L and VP8X')


def _view(data: Data) -> memoryview:
    return memoryview(data).cast('B')  # type: ignore[arg-type]


def _number(
    view: memoryview, position: int, size: int, order: str = 'big', signed: bool = False
) -> int:
    """Read a whole number of some bytes.

    Raises:
        IndexError: if the data end before it does.
    """
    data = bytes(view[position : position + size])
    if len(data) < size:
        raise IndexError
    return int.from_bytes(data, order, signed=signed)  # type: ignore[arg-type]


def _listed(formats: Sequence[str]) -> str:
    return ' and '.join((', '.join(formats[:-1]), formats[-1])) if len(formats) > 1 else formats[0]


#: The formats with their first bytes and the functions that read width and height. OpenCV tells
#: formats by the same bytes.
_READERS = tuple(
    (name, re.compile(signature, re.DOTALL), read)
    for name, signature, read in (
        ('JPEG', rb'\xff\xd8\xff', _jpeg_size),
        ('PNG', rb'\x89PNG\r\n\x1a\n', _png_size),
        ('BMP', rb'BM', _bmp_size),
        ('PNM', rb'P[1-6]\s', _pnm_size),
        ('TIFF', rb'II\*\0|MM\0\*', _tiff_size),
        ('WebP', rb'RIFF....WEBP', _webp_size),
    )
)

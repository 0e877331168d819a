"""Pictures in colour, and the lossy copies that the released scoring code makes of them on its way.

That code dumps every clip to JPEG files at ffmpeg's default quality, and writes its face crops with OpenCV's MPEG-4
writer first. Both are done here in memory by the same encoders with the same settings.
"""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
from av.codec.context import CodecContext, Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from syncnet.container import AnyPath, moving_pictures, open_media
from syncnet.errors import InputError
from syncnet.pictures import ALWAYS_FULL_RANGE, display_matrix

Bgr = NDArray[np.uint8]

_FPS = 25
_XVID_BITS_PER_PIXEL = 2  # of OpenCV's video writer, per picture; also the tolerance of its rate control
_XVID_GOP = 12
_XVID_QMIN = 3


def stated_rate(path: AnyPath) -> float:
    """Frames per second that a file's video stream states (what ffmpeg writes it out at). Raises InputError."""
    with open_media(path) as container:
        streams = moving_pictures(container)
        if not streams:
            raise InputError(f"{path}: there is no video stream in this file")
        return float(streams[0].guessed_rate or streams[0].average_rate or _FPS)


def bgr(frame: VideoFrame) -> Bgr:
    """A decoded picture as (H, W, 3) uint8, blue first, 0 to 255, upright (ITU-R BT.601 as OpenCV and JPEG have it)."""
    picture = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    a, b, c, d = display_matrix(frame)
    shown = picture.transpose(1, 0, 2)[::b, ::c] if a == 0 else picture[::d, ::a]
    return np.ascontiguousarray(shown)


class JpegCopy:
    """Writes pictures as JPEG like `ffmpeg -i clip -f image2 %06d.jpg` and reads them back like `cv2.imread`.

    At those defaults the encoder holds 200 kbit/s, so the quality falls within the first dozen pictures: give it the
    pictures of one clip in order. Luma equals that of ffmpeg 5.1 to the last bit, chroma to rounding.
    """

    def __init__(self) -> None:
        self._encoder: VideoCodecContext | None = None
        self._count = 0

    def __call__(self, frame: VideoFrame) -> Bgr:
        """One picture in, the same after the copy out: (H, W, 3) uint8 BGR, upright."""
        if display_matrix(frame) != (1, 0, 0, 1):
            frame = VideoFrame.from_ndarray(bgr(frame), format="bgr24")
        if self._encoder is None:
            self._encoder = _encoder("mjpeg", "yuvj420p", frame.width, frame.height)
            self._encoder.color_range = ColorRange.JPEG.value
        full = frame.color_range == ColorRange.JPEG or frame.format.name in ALWAYS_FULL_RANGE
        planes = frame.reformat(
            width=self._encoder.width,
            height=self._encoder.height,
            format="yuvj420p",
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        )
        file = bytes(_encode(self._encoder, planes, self._count))
        self._count += 1
        picture = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise RuntimeError("OpenCV cannot read the JPEG that FFmpeg has written")
        return np.asarray(picture, np.uint8)


class XvidCopy:
    """Writes pictures as MPEG-4 like OpenCV's `VideoWriter` with the code XVID at 25 fps, and decodes them again.

    Give it the pictures of one crop in order. What comes out equals what OpenCV writes, to the last bit.
    """

    def __init__(self) -> None:
        self._encoder: VideoCodecContext | None = None
        decoder = CodecContext.create("mpeg4", "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_count = 1
        decoder.flags |= Flags.low_delay
        self._decoder = decoder
        self._count = 0

    def __call__(self, picture: Bgr) -> VideoFrame:
        """One picture (H, W, 3) uint8 BGR in, the same after the copy out, as decoded (yuv420p)."""
        height, width = picture.shape[:2]
        if self._encoder is None:
            self._encoder = _encoder("mpeg4", "yuv420p", width, height)
            rate = _XVID_BITS_PER_PIXEL * _FPS * width * height
            self._encoder.options = {"b": str(rate), "bt": str(rate)}
            self._encoder.gop_size = _XVID_GOP
            self._encoder.qmin = _XVID_QMIN
        frame = VideoFrame.from_ndarray(picture, format="bgr24")
        planes = frame.reformat(format="yuv420p", interpolation=Interpolation.BICUBIC)
        # The encoder's own packet: one made from bytes lacks the zeros behind its end that FFmpeg's decoders read.
        decoded = self._decoder.decode(_encode(self._encoder, planes, self._count))
        self._count += 1
        if len(decoded) != 1:
            raise RuntimeError(f"the MPEG-4 decoder gave {len(decoded)} pictures for one")
        return decoded[0]


def _encoder(codec: str, pixels: str, width: int, height: int) -> VideoCodecContext:
    made = CodecContext.create(codec, "w")
    assert isinstance(made, VideoCodecContext)
    made.width, made.height, made.pix_fmt = width, height, pixels
    made.time_base = Fraction(1, _FPS)
    made.thread_count = 1
    return made


def _encode(encoder: VideoCodecContext, frame: VideoFrame, number: int) -> Packet[VideoStream]:
    """One picture from an encoder that holds none back."""
    frame.pts, frame.time_base = number, Fraction(1, _FPS)
    packets = encoder.encode(frame)
    if len(packets) != 1:
        raise RuntimeError(f"the encoder {encoder.name} gave {len(packets)} packets for one picture")
    return packets[0]

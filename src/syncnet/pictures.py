"""Pictures: the luma of a video stream at a steady rate, upright, by nearest presentation time."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData, SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream
from numpy.typing import NDArray

from syncnet.container import AnyPath, OnProblem, decoded, ignore, moving_pictures, open_media, seconds, shown_span
from syncnet.errors import InputError

FPS = 25.0

EIGHT_BIT_LUMA = frozenset(
    "yuv420p yuvj420p yuv422p yuvj422p yuv444p yuvj444p yuv440p yuvj440p yuv411p yuvj411p yuv410p "
    "yuva420p yuva422p yuva444p nv12 nv21 nv16 nv24 gray".split()
)
ALWAYS_FULL_RANGE = frozenset("yuvj420p yuvj422p yuvj444p yuvj440p yuvj411p gray".split())
FULL_TO_LIMITED: NDArray[np.uint8] = np.round(16 + np.arange(256) * (219 / 255)).astype(np.uint8)
LEAP_S = 0.5  # a picture that leaps by more and is followed by one before it has a damaged time
TICK_S = 1e-3  # container timestamps are rounded to a millisecond at worst


@dataclass(frozen=True)
class Frame:
    """A picture at `time` (s of presentation time); `luma` is (H, W) uint8, upright, limited range 16-235."""

    time: float
    luma: NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A decoded frame shown from `time` to `end` (s of presentation time)."""

    time: float
    end: float
    frame: VideoFrame


def frames(path: AnyPath, *, fps: float = FPS, on_problem: OnProblem | None = None) -> Iterator[Frame]:
    """Stream the pictures of a file at a steady rate: at each grid time the one of nearest presentation time.

    The grid begins at the first presentation time and steps by 1/`fps` to the end of the last picture. Damage that
    is passed over is told to `on_problem` in words. Raises InputError when the file cannot be read, has no video or
    none that can be decoded. Memory does not grow with the length of the file.
    """
    shown: VideoFrame | None = None
    for time, frame in decoded_on_grid(path, fps=fps, on_problem=on_problem):
        if frame is not shown:
            upright, shown = luma(frame), frame
        yield Frame(time, upright)


def decoded_on_grid(
    path: AnyPath, *, fps: float = FPS, on_problem: OnProblem | None = None
) -> Iterator[tuple[float, VideoFrame]]:
    """The grid of `frames` with each time's decoded picture as it is, colours, rotation and all; raises as it does."""
    with open_media(path) as container:
        stream = _first_video(container, path)
        empty = True
        for time, frame in _on_grid(native_pictures(container, stream, on_problem or ignore), fps):
            empty = False
            yield time, frame
        if empty:
            raise InputError(f"{path}: no picture of the video stream ({stream.name}) can be decoded")


def _first_video(container: InputContainer, path: AnyPath) -> VideoStream:
    found = moving_pictures(container)
    if not found:
        raise InputError(f"{path}: there is no video stream in this file")
    return found[0]


def native_pictures(container: InputContainer, stream: VideoStream, report: OnProblem) -> Iterator[Picture]:
    """The decoded pictures of a stream in presentation order, each once, with strictly increasing times."""
    span = shown_span(container, stream)
    timed = _timed_pictures(container, stream, report)
    return _in_order(p for p in timed if span.start - TICK_S <= p.time <= span.end - TICK_S)


def _in_order(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """Leave out pictures that repeat a time or step back, or leap ahead of the one that follows: damaged times."""
    before = -math.inf
    held: Picture | None = None
    for picture in pictures:
        if picture.time <= before:
            continue
        if held is not None:
            if picture.time > held.time:
                yield held
                before = held.time
            elif held.time - before < LEAP_S:
                continue
        held = picture
    if held is not None:
        yield held


def _timed_pictures(container: InputContainer, stream: VideoStream, report: OnProblem) -> Iterator[Picture]:
    """The decoded pictures of a stream; one without a timestamp follows on the one before it."""
    stream.thread_type = "AUTO"
    rate = float(stream.average_rate or stream.guessed_rate or FPS)
    end = seconds(stream, stream.start_time or 0)
    for frame in decoded(container, stream, report):
        if isinstance(frame, VideoFrame):
            time = end if frame.pts is None else seconds(stream, frame.pts)
            end = time + (seconds(stream, frame.duration) if frame.duration else 1 / rate)
            yield Picture(time, end, frame)


def _on_grid(pictures: Iterable[Picture], fps: float) -> Iterator[tuple[float, VideoFrame]]:
    """Resample pictures to a grid of `fps` from the first one's time on, each grid time by its nearest picture."""
    start = 0.0
    k = 0
    shown: Picture | None = None
    for picture in pictures:
        if shown is None:
            start = picture.time
        else:
            middle = (shown.time + picture.time) / 2
            while start + k / fps < middle:
                yield start + k / fps, shown.frame
                k += 1
        shown = picture
    if shown is not None:
        while start + k / fps < max(shown.end - TICK_S, start + TICK_S):
            yield start + k / fps, shown.frame
            k += 1


def luma(frame: VideoFrame) -> NDArray[np.uint8]:
    """The luma of a decoded frame, (H, W) uint8, upright, in limited range (ITU-R BT.601/709: black 16, white 235)."""
    full = frame.color_range == ColorRange.JPEG or frame.format.name in ALWAYS_FULL_RANGE
    if frame.format.name not in EIGHT_BIT_LUMA:
        frame_8bit = frame.reformat(
            format="yuv420p",
            src_color_range=ColorRange.JPEG if full else ColorRange.UNSPECIFIED,
            dst_color_range=ColorRange.MPEG,
        )
        return _upright(_first_plane(frame_8bit), display_matrix(frame))
    plane = _first_plane(frame)
    return _upright(FULL_TO_LIMITED[plane] if full else plane, display_matrix(frame))


def _first_plane(frame: VideoFrame) -> NDArray[np.uint8]:
    """A view of the first plane without the padding of its lines, (H, W) uint8."""
    plane = frame.planes[0]
    lines = np.frombuffer(memoryview(cast("bytes", plane)), np.uint8, count=plane.line_size * frame.height)
    return lines.reshape(frame.height, plane.line_size)[:, : frame.width]


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """How a frame is to be shown: signs (a, b, c, d) with shown x = a x + c y and shown y = b x + d y.

    The nearest of the eight quarter turns and mirrorings of the display matrix (ISO/IEC 14496-12, 8.2.2);
    (1, 0, 0, 1) where there is none.
    """
    for entry in _side_data(frame):
        if entry.type == SideDataType.DISPLAYMATRIX:
            a, b, _, c, d = (int(v) for v in np.frombuffer(bytes(entry), np.int32)[:5])
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return (-1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1)
            return (0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0)
    return (1, 0, 0, 1)


def _side_data(frame: VideoFrame) -> Iterable[SideData]:
    """What comes with a frame besides its picture.

    `frame.side_data` keeps what it returns in the frame, and that holds the frame: a cycle, so that pictures would stay
    in memory until Python looks for cycles, hundreds of them in a long film.
    """
    held_by_nobody = cast("Callable[[VideoFrame], Iterable[SideData]]", SideDataContainer)
    return held_by_nobody(frame)


def display_rotation(frame: VideoFrame) -> int:
    """Degrees counterclockwise by which a frame is turned to be shown: 0, 90, 180 or 270; mirroring is not told."""
    a, b, _, _ = display_matrix(frame)
    if a == 0:
        return 90 if b < 0 else 270
    return 0 if a > 0 else 180


def _upright(plane: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Turn and mirror a coded picture as its display matrix says; a contiguous copy."""
    a, b, c, d = matrix
    shown = plane.T[::b, ::c] if a == 0 else plane[::d, ::a]
    return np.array(shown, order="C")

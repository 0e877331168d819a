"""Packets on their way into a new file: copied ones with complete times, and those of a freshly coded sound."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from syncnet.container import ignore, open_media, packets, seconds, shown_span
from syncnet.source_sound import Floats

Timed = tuple[float, "Packet[Stream]"]
"""A packet and its decoding time in seconds, by which packets of several streams are put in order."""


def first_time(source: Path, index: int) -> float:
    """Presentation time at which a stream begins."""
    with open_media(source) as container:
        stream = container.streams[index]
        for packet in packets(container, ignore):
            if packet.stream_index == index and packet.pts is not None:
                return seconds(stream, packet.pts)
    return 0.0


def copied_packets(inp: InputContainer, copies: dict[int, Stream], delays: dict[int, float]) -> Iterator[Timed]:
    """Packets for the copies with their times in s; what an edit list cuts off at the end is left out."""
    ends = {index: shown_span(inp, inp.streams[index]).end for index in copies}
    beyond: dict[int, list[Packet[Stream]]] = {index: [] for index in copies}
    lanes = {index: _Lane(inp.streams[index]) for index in copies}
    for packet in packets(inp, ignore):
        index = packet.stream_index
        if index not in copies:
            continue
        stream = inp.streams[index]
        if packet.pts is not None and seconds(stream, packet.pts) >= ends[index]:
            beyond[index].append(packet)
            continue
        waiting, beyond[index] = [*beyond[index], packet], []
        for each in waiting:
            for ready in lanes[index].push(each):
                yield _moved(ready, copies[index], delays[index])
    for index, lane in lanes.items():
        for ready in lane.rest():
            yield _moved(ready, copies[index], delays[index])


class _Lane:
    """Fills in decoding times that a container does not tell (Matroska with B-frames), and keeps them rising.

    The first packets wait until one of them has a decoding time; theirs are counted back from it.
    """

    def __init__(self, stream: Stream) -> None:
        self._waiting: deque[Packet[Stream]] = deque()
        self._last: int | None = None
        rate, base = stream.average_rate if stream.type == "video" else None, stream.time_base
        self._usual = round(1 / rate / base) if rate and base else 1
        self._timed = stream.type in ("video", "audio")

    def push(self, packet: "Packet[Stream]") -> "list[Packet[Stream]]":
        self._waiting.append(packet)
        if packet.dts is None and self._last is None and len(self._waiting) < 64:
            return []
        return self.rest()

    def rest(self) -> "list[Packet[Stream]]":
        ready = list(self._waiting)
        self._waiting.clear()
        known = next((i for i, p in enumerate(ready) if p.dts is not None), None)
        for i, packet in enumerate(ready):
            if packet.dts is None and self._last is not None:
                packet.dts = self._last + (packet.duration or self._usual)
            elif packet.dts is None:
                anchor, ahead = (ready[known].dts, known - i) if known is not None else (packet.pts, 0)
                packet.dts = None if anchor is None else anchor - ahead * (packet.duration or self._usual)
            if packet.dts is not None and packet.pts is not None:
                packet.dts = min(packet.dts, packet.pts)
            rises = self._last is None or packet.dts is None or packet.dts > self._last
            if not rises and packet.dts is not None and self._last is not None and self._timed:
                packet.dts = self._last + 1
                packet.pts = None if packet.pts is None else max(packet.pts, packet.dts)
            self._last = packet.dts if packet.dts is not None else self._last
        return ready


def _moved(packet: "Packet[Stream]", copy: Stream, delay: float) -> Timed:
    base = packet.time_base
    ticks = round(Fraction(delay) / base)
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks
    packet.stream = copy
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (float(stamp * base) if stamp is not None else 0.0), packet


def sound_packets(
    stream: AudioStream, blocks: Iterator[Floats], start: float, rate: int, layout: str
) -> Iterator[Timed]:
    """Code the new sound; its first sample keeps its place on the clock, the encoder's delay lies before it."""
    unit = Fraction(1, rate)
    place = round(start * rate)
    for block in blocks:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.pts, frame.time_base = place, unit
        place += block.shape[1]
        yield from _timed(stream.encode(frame))
    yield from _timed(stream.encode(None))


def _timed(coded: "list[Packet[Any]]") -> Iterator[Timed]:
    for packet in coded:
        yield float((packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base), packet

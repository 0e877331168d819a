"""How a re-timed sound is coded again: the same codec where it can be, no bit rate lower than before."""

from collections.abc import Collection
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from syncnet.errors import InputError
from syncnet.source_sound import TrackFormat

ENCODERS = {"opus": "libopus", "mp3": "libmp3lame"}
"""Encoders whose name is not that of their codec."""

SUBSTITUTES = ("aac", "libopus", "ac3", "libmp3lame", "wmav2", "mp2")
LOSSLESS_SUBSTITUTES = ("flac", "alac", "pcm_s24le", "pcm_s16le")
POOR = {"vorbis": "libopus"}
"""Codecs for which FFmpeg has an encoder of its own, but not a good one, and what to take instead."""
TRANSPORT = frozenset({"mp2", "libmp3lame", "aac", "ac3", "eac3", "libopus"})
"""What an MPEG transport stream holds; FFmpeg has no list of it."""

MARGIN = 1.25
"""A second lossy coding at the same rate would lose a little: give it a quarter more."""

_LEAST_PER_CHANNEL = {"aac": 64, "libopus": 48, "ac3": 96, "eac3": 96, "libmp3lame": 64, "mp2": 96, "wmav2": 64}
_AC3 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_MP3 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_LOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # for rates below 32 kHz
_MP2 = (64, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_MOST_PER_CHANNEL = {"aac": 6.0, "libopus": 256 / 48}  # bits for each sample


@dataclass(frozen=True)
class Encoding:
    """What the sound will be coded as: `encoder` by FFmpeg's name, `bit_rate` in bits/s (None: lossless)."""

    encoder: str
    rate: int
    layout: str
    sample_format: str
    bit_rate: int | None
    options: dict[str, str] = field(default_factory=dict)
    substitute_for: str | None = None

    @property
    def words(self) -> str:
        """The encoding in words, with the codec it had to replace if any."""
        amount = "lossless" if self.bit_rate is None else f"{self.bit_rate / 1000:.0f} kb/s"
        instead = f", since FFmpeg has no good encoder for {self.substitute_for}" if self.substitute_for else ""
        return f"{av.Codec(self.encoder, 'w').canonical_name}, {self.rate} Hz, {self.layout}, {amount}{instead}"


def held_by(out: OutputContainer) -> Collection[str]:
    """The encoders whose codecs a container holds."""
    return TRANSPORT if out.format.name == "mpegts" else out.supported_codecs


def encoding_for(source: TrackFormat, supported: Collection[str], container: str, codec: str | None = None) -> Encoding:
    """Choose the encoder, rate, layout and bit rate for a track that goes into a container.

    `supported`: the encoders whose codecs the container holds. `codec`: what the user asks for instead of the source's.
    Raises InputError when nothing fits.
    """
    wanted = codec or source.codec
    encoder = _encoder(wanted)
    replaced = None
    if encoder is None or wanted in POOR or encoder not in supported:
        if codec is not None:
            raise InputError(f"the sound cannot be coded as {codec} in {container}: no encoder, or not held by it.")
        choices = (*(LOSSLESS_SUBSTITUTES if source.lossless else ()), *filter(None, [POOR.get(wanted)]), *SUBSTITUTES)
        encoder = next((name for name in choices if name in supported and _encoder(name)), None)
        if encoder is None:
            raise InputError(
                f"the sound is {source.codec}, which cannot be coded again in {container}: name another container for "
                "the result (.mkv takes every codec), or use --mode timestamps, which copies the sound."
            )
        replaced = source.codec
    info = av.Codec(encoder, "w")
    rates = info.audio_rates or []
    nearest = min(rates, key=lambda r: (r < source.rate, abs(r - source.rate)), default=source.rate)
    rate = source.rate if source.rate in rates else nearest
    formats = [f.name for f in info.audio_formats or []]
    lossy = encoder in _LEAST_PER_CHANNEL
    liked = ("flt", "s32", "s16") if lossy else ("s32", "flt", "dbl") if source.deep else ("s16",)
    fitting = [f for wish in liked for f in formats if f.rstrip("p") == wish]
    options = dict(source.dolby) if encoder in ("ac3", "eac3") else {}
    return Encoding(
        encoder=encoder,
        rate=rate,
        layout=source.layout,
        sample_format=(fitting or formats or ["s16"])[0],
        bit_rate=bit_rate(encoder, source.bit_rate, source.channels, rate, source.lossless) if lossy else None,
        options={k: v for k, v in options.items() if encoder == "ac3" or k == "dialnorm"},
        substitute_for=replaced,
    )


def bit_rate(encoder: str, source_rate: int, channels: int, rate: int, lossless_source: bool = False) -> int:
    """Bits per second for a lossy encoder: a quarter above the source's, within what the codec allows."""
    least = _LEAST_PER_CHANNEL[encoder] * 1000 * channels
    wanted = max(least * (2 if lossless_source else 1), 0 if lossless_source else int(source_rate * MARGIN))
    ladder = {"ac3": _AC3, "mp2": _MP2, "libmp3lame": _MP3 if rate >= 32000 else _MP3_LOW}.get(encoder)
    if ladder:
        return 1000 * next((step for step in ladder if step * 1000 >= wanted), ladder[-1])
    most = _MOST_PER_CHANNEL.get(encoder)
    return min(wanted, int(most * rate * channels)) if most else wanted


def encoder_delay(encoding: Encoding) -> int:
    """Samples by which an encoder's packets come before the sound in them, which some containers cannot tell."""
    context = av.CodecContext.create(encoding.encoder, "w")
    assert isinstance(context, AudioCodecContext)
    _set_up(context, encoding)
    channels = context.layout.nb_channels
    silence = np.zeros((channels, 1 << 12), np.float32)
    for place in range(0, 1 << 16, 1 << 12):
        frame = AudioFrame.from_ndarray(silence, format="fltp", layout=encoding.layout)
        frame.sample_rate, frame.pts, frame.time_base = encoding.rate, place, Fraction(1, encoding.rate)
        for packet in context.encode(frame):
            return max(0, -round((packet.pts or 0) * packet.time_base * encoding.rate))
    return 0


def add_sound_stream(out: OutputContainer, encoding: Encoding) -> AudioStream:
    """Add the stream to a file being written and open its encoder; raises InputError when the encoder refuses."""
    stream = out.add_stream(encoding.encoder, rate=encoding.rate, options=encoding.options)
    assert isinstance(stream, AudioStream)
    _set_up(stream.codec_context, encoding)
    return stream


def _set_up(context: AudioCodecContext, encoding: Encoding) -> None:
    context.sample_rate = encoding.rate
    context.layout = encoding.layout
    context.format = encoding.sample_format
    if encoding.bit_rate is not None:
        context.bit_rate = encoding.bit_rate
    try:
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise InputError(f"FFmpeg cannot code this sound as {encoding.words}: {error}") from error


def _encoder(codec: str) -> str | None:
    """The encoder for a codec or encoder name, None when this FFmpeg has none that is ready for use."""
    name = ENCODERS.get(codec, codec)
    try:
        return None if av.Codec(name, "w").experimental else name
    except (av.FFmpegError, ValueError):
        return None

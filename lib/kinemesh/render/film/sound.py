"""A video's sound, taken over into another file: as it is stored where mp4 can hold that, else as AAC."""

import contextlib
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.error import FFmpegError

from kinemesh.render.decoding import opened_video

logger = logging.getLogger(__name__)

# So far sound may be from its pictures, or from where it ended, before anybody hears it.
_JUMP_S = 0.05
_COPIED = ("aac", "ac3", "eac3", "mp3", "opus", "alac", "flac")


class Sound(NamedTuple):
    """The first sound of a video, from one moment to another."""

    path: Path
    start_s: float  # after the video's first frame
    end_s: float


class SoundCopy:
    """Sound that is added to a file that is being written, as far as its pictures have come."""

    def __init__(self, sound: Sound, source: av.container.InputContainer, video: av.VideoStream, target):
        self._stream = source.streams.audio[0]
        self._target = target
        self._begin_s = float((video.start_time or 0) * video.time_base) + sound.start_s
        self._length_s = sound.end_s - sound.start_s
        self._path = sound.path
        name = self._stream.codec_context.name
        if name in _COPIED:
            self._out, self._is_copied = target.add_stream_from_template(self._stream), True
        else:
            self._out, self._is_copied = target.add_stream("aac", rate=self._stream.codec_context.sample_rate), False
            self._resampler = av.AudioResampler("fltp", self._stream.codec_context.layout, self._out.rate)
            self._fed = 0
        self._packets = self._packets_of(source)
        self._next: tuple[float, list[av.Packet]] | None = None
        self._is_over, self._is_told = False, False

    def add_until(self, time_s: float | None) -> None:
        """All that begins before this time, in seconds from the first picture; None: the rest."""
        while not self._is_over:
            try:
                if self._next is None:
                    self._next = next(self._packets, None)
                if self._next is None:
                    self._is_over = True
                elif time_s is not None and self._next[0] >= time_s:
                    return
                else:
                    self._target.mux(self._next[1])
                    self._next = None
            except (FFmpegError, ValueError) as error:
                logger.warning("%s: its sound is damaged (%s) and ends early", self._path, error)
                self._is_over = True

    def _packets_of(self, source: av.container.InputContainer) -> Iterator[tuple[float, list[av.Packet]]]:
        """When each begins, from the first picture, and what of the output that is.

        Where times jump forward there is silence; where they jump back, what was heard already is left out.
        """
        ends_s, last = None, None
        for packet in source.demux(self._stream):
            if packet.pts is None or not packet.size:
                continue
            time_s = float(packet.pts * packet.time_base) - self._begin_s
            if ends_s is not None and abs(time_s - ends_s) > _JUMP_S:
                self._tell_jump(ends_s, time_s)
            if time_s >= self._length_s:
                break
            is_heard = ends_s is not None and time_s < ends_s - _JUMP_S
            if time_s < 0 or is_heard or (last is not None and packet.pts <= last):
                continue
            ends_s = time_s + float(packet.duration * packet.time_base) if packet.duration else None
            last = packet.pts
            if self._is_copied:
                packet.stream = self._out
                packet.pts = packet.dts = packet.pts - round(self._begin_s / packet.time_base)
                yield time_s, [packet]
            else:
                frames = [part for frame in packet.decode() for part in self._resampler.resample(frame)]
                yield time_s, [*self._silence_until(time_s), *self._encoded(frames)]
        if not self._is_copied:
            yield self._length_s, [*self._encoded(self._resampler.resample(None)), *self._out.encode(None)]

    def _tell_jump(self, ends_s: float, time_s: float) -> None:
        if not self._is_told:
            logger.warning(
                "%s: its sound's times jump from %.2f to %.2f s; it is kept in step with the pictures",
                self._path, ends_s, time_s,
            )  # fmt: skip
        self._is_told = True

    def _silence_until(self, time_s: float) -> list[av.Packet]:
        """Nothing, unless what was fed so far ends well before."""
        made, rate = [], self._out.rate
        missing = round(time_s * rate) - self._fed
        while missing > 0 and (made or missing > _JUMP_S * rate):
            silent = av.AudioFrame("fltp", self._stream.codec_context.layout, min(missing, rate))
            for plane in silent.planes:
                plane.update(bytes(plane.buffer_size))
            silent.sample_rate = rate
            missing -= silent.samples
            made += self._encoded([silent])
        return made

    def _encoded(self, frames: list[av.AudioFrame]) -> list[av.Packet]:
        made = []
        for frame in frames:
            frame.pts, frame.time_base = self._fed, Fraction(1, self._out.rate)
            self._fed += frame.samples
            made += self._out.encode(frame)
        return made


@contextlib.contextmanager
def copied_sound(sound: Sound | None, target: av.container.OutputContainer) -> Iterator[SoundCopy | None]:
    """Adds a stream to a file that has no header yet; None where there is no sound."""
    if sound is None or not Path(sound.path).is_file():
        yield None
        return
    with opened_video(sound.path) as (source, video):
        copy = None
        if source.streams.audio and source.streams.audio[0].codec_context is not None:
            try:
                copy = SoundCopy(sound, source, video, target)
            except (FFmpegError, ValueError) as error:
                logger.warning("%s: its sound cannot be kept (%s)", sound.path, error)
        yield copy

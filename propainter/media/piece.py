"""Pieces: runs of frames encoded by themselves, so that they can be made in any order, kept, and joined by copying.

The same frames and spec give the same bytes on every machine: threads are a fixed number, and nothing depends on
time or on a processor's cores.
"""

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import av
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from propainter.core.errors import OutputError
from propainter.media.colour import convert
from propainter.media.encode_spec import ENCODERS, EncodeSpec

_THREADS = 4
"""A number of its own, because x264 decides a little differently for each."""

_MAGIC = b"PPPIECE1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PiecePacket:
    """One encoded frame: its place in the order shown, and in the order decoded by where it stands."""

    shown: int
    is_keyframe: bool
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A decoded piece: packets in decoding order; shown counts from 0 at the piece's first frame."""

    extradata: bytes
    packets: tuple[PiecePacket, ...]


def encode_piece(frames: Iterable[av.VideoFrame], spec: EncodeSpec) -> bytes:
    """Encode frames into one piece. Frames in another pixel format are converted to the spec's.

    Raises:
        OutputError: the encoder refuses.
    """
    encoder = cast(VideoCodecContext, av.CodecContext.create(ENCODERS[spec.codec], "w"))
    configure(encoder, spec)
    packets: list[PiecePacket] = []
    try:
        for number, frame in enumerate(frames):
            converted = convert(frame, spec.pixel_format, spec.colour)
            converted.pts, converted.time_base = number, 1 / spec.frame_rate
            converted.pict_type = 0
            converted.colorspace, converted.color_range = spec.colour.matrix, spec.colour.range_number
            converted.color_primaries, converted.color_trc = spec.colour.primaries, spec.colour.transfer
            packets += [_kept(packet) for packet in encoder.encode(converted)]
        packets += [_kept(packet) for packet in encoder.encode(None)]
    except av.FFmpegError as error:
        size = f"{spec.width_px}x{spec.height_px} {spec.pixel_format}"
        raise OutputError(f"{spec.codec} cannot encode {size}: {error.strerror}. Use another --codec.") from None
    return pack_piece(Piece(extradata=encoder.extradata or b"", packets=tuple(packets)))


def configure(encoder: VideoCodecContext, spec: EncodeSpec) -> None:
    """Set up an encoder that is not open yet. Equal specs give equal headers."""
    encoder.width, encoder.height = spec.width_px, spec.height_px
    encoder.pix_fmt = spec.pixel_format
    encoder.time_base, encoder.framerate = 1 / spec.frame_rate, spec.frame_rate
    encoder.sample_aspect_ratio = spec.sample_aspect
    encoder.color_range = spec.colour.range_number
    encoder.colorspace = spec.colour.matrix
    encoder.color_primaries = spec.colour.primaries
    encoder.color_trc = spec.colour.transfer
    encoder.thread_count = _THREADS
    encoder.flags |= Flags.global_header | Flags.bitexact | Flags.closed_gop
    encoder.options = _options(spec)
    if spec.codec == "ffv1":
        encoder.gop_size = 1
    if spec.codec == "h265" and spec.container != "matroska":
        encoder.codec_tag = "hvc1"


def _options(spec: EncodeSpec) -> dict[str, str]:
    if spec.codec == "h264":
        # x264's macroblock tree, in its processor-specific code, does not give the same bytes every time: 1 of 25
        # runs differed at 160x128, 8 of 40 at 64x48. A resumed run must end in the same file.
        return {"preset": "medium", "crf": str(spec.crf), "bf": "3", "mbtree": "0"}
    if spec.codec == "h265":
        fixed = f"log-level=none:info=0:pools={_THREADS}:frame-threads=2:open-gop=0:bframes=3"
        return {"preset": "medium", "crf": str(spec.crf), "x265-params": fixed}
    if spec.codec == "ffv1":
        return {"level": "3", "slicecrc": "1"}
    if spec.codec == "prores":
        return {"profile": "4444" if "444" in spec.pixel_format else "hq", "vendor": "apl0"}
    return {"compression_level": "1", "pred": "paeth"}


def _kept(packet: "Packet[Any]") -> PiecePacket:
    if packet.pts is None:
        raise ValueError("an encoder gave a packet without its time")
    return PiecePacket(shown=packet.pts, is_keyframe=packet.is_keyframe, payload=bytes(packet))


def pack_piece(piece: Piece) -> bytes:
    """Magic, length of a JSON header, header, then the payloads one after another."""
    header = {
        "extradata": piece.extradata.hex(),
        "packets": [[packet.shown, packet.is_keyframe, len(packet.payload)] for packet in piece.packets],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((_MAGIC, struct.pack(">I", len(text)), text, *(packet.payload for packet in piece.packets)))


def unpack_piece(data: bytes) -> Piece:
    """The inverse of pack_piece.

    Raises:
        OutputError: data is not a piece.
    """
    start = len(_MAGIC) + 4
    if data[: len(_MAGIC)] != _MAGIC:
        raise OutputError("an encoded piece is not in the form that this version writes. Run again with --fresh.")
    place = start + struct.unpack_from(">I", data, len(_MAGIC))[0]
    header = json.loads(data[start:place])
    packets = []
    for shown, is_keyframe, size_bytes in header["packets"]:
        packets.append(PiecePacket(shown=shown, is_keyframe=is_keyframe, payload=data[place : place + size_bytes]))
        place += size_bytes
    return Piece(extradata=bytes.fromhex(header["extradata"]), packets=tuple(packets))

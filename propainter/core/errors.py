"""Every error that a user can cause or mend, in one tree.

A message says what is wrong, the value that is wrong and the way out, in one line. The command line
prints it and leaves with exit status 2. What is outside this tree keeps its traceback, being a defect of ours; but for
the system's own OSError, which already says what and where.
"""


class ProPainterError(Exception):
    """Root of the tree. Raise one of its children."""


class MediaError(ProPainterError):
    """A video, image or sound that cannot be read as what it claims to be."""


class MaskError(ProPainterError):
    """Masks that do not go with the video."""


class OutputError(ProPainterError):
    """A result that cannot be written where it was asked for."""


class SettingsError(ProPainterError):
    """A setting, preset or configuration file that is not valid."""


class ShapeError(ProPainterError):
    """An array whose sides or length the method cannot work on."""


class FlowRangeError(ProPainterError):
    """Flow that is not finite, or too large for the compact storage type."""


class StoreError(ProPainterError):
    """The cache cannot be used as asked."""


class MissingSegmentError(StoreError):
    """A segment was read that nobody has committed."""


class CorruptSegmentError(StoreError):
    """A committed segment no longer holds what was written."""


class DiskFullError(StoreError):
    """No space is left where a result was to be written."""


class WeightsError(ProPainterError):
    """A checkpoint that is missing, damaged, or not the one it should be."""


class DeviceError(ProPainterError):
    """A device that is not there, or stays taken."""


class MemoryBudgetError(ProPainterError):
    """Work that does not fit into the memory that may be used, however little of it is done at once."""


class ServerError(ProPainterError):
    """The workflow server cannot be started or reached."""


class ServerLostError(ServerError):
    """The workflow server has answered, and does so no longer."""


class RunError(ProPainterError):
    """A run that keeps dying, and is not started once more by itself."""

"""The options and limits of a batch."""

from dataclasses import dataclass
from typing import Self

from api.archives import ArchiveLimits, names
from api.settings import Settings
from model.metadata import Label


@dataclass(frozen=True)
class BatchOptions:
    """What a client chooses.

    team: see model.predictions.validate_team. positive: the label whose probability is returned.
    keep_folders: whether an `image_id` is a path with folders instead of a file's name.
    """

    team: str
    positive: Label = "REAL"
    keep_folders: bool = False

    def image_id(self, path: str) -> str:
        """The name of the picture at a path that is separated by `/`."""
        return path if self.keep_folders else names.base_name(path)


@dataclass(frozen=True)
class BatchLimits:
    """files, pixels: of all together. image_bytes, image_pixels: of one. unpacked_bytes: of an archive."""

    files: int
    pixels: int
    image_bytes: int
    image_pixels: int
    unpacked_bytes: int

    @classmethod
    def from_settings(cls, settings: Settings, files: int) -> Self:
        """Those of the settings, and `files`, in which batches and jobs differ."""
        return cls(
            files,
            settings.max_batch_pixels,
            settings.max_image_bytes,
            settings.max_image_pixels,
            settings.max_unpacked_bytes,
        )

    @property
    def archive(self) -> ArchiveLimits:
        """Those that an archive's reader checks."""
        return ArchiveLimits(self.files, self.image_bytes, self.unpacked_bytes)

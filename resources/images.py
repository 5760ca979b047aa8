"""The image caches of a home."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from hnp_pipeline import study
from hnp_pipeline.errors import StepError
from hnp_pipeline.fingerprint import source_hash
from hnp_pipeline.home import Home

if TYPE_CHECKING:
    from hnp_pipeline.imaging.cache import ImageStore


def pixel_version(imaging: study.Imaging) -> str:
    """Changes when the same file would give other pixels: by settings, or by the code that makes them."""
    return f"{imaging.hash}-{source_hash('imaging/decoding', 'imaging/clahe')}"


@dataclass(frozen=True)
class Images:
    """Pixels by content, from every collection's cache."""

    home: Home
    imaging: study.Imaging

    def store(self, examples: pa.Table) -> "ImageStore":
        """The images of `examples` (columns sha256, collection), in their order.

        Raises:
            StepError: an image is not in its collection's cache.
        """
        from hnp_pipeline.imaging.cache import ImageCache, ImageStore

        names = examples["collection"].unique().to_pylist()
        try:
            caches = [ImageCache.open(self.home.cache(name), self.imaging) for name in names]
            return ImageStore(caches, examples["sha256"].to_pylist())
        except (FileNotFoundError, KeyError) as error:
            raise StepError(
                f"images of {', '.join(names)} are not all in the cache: materialise clahe_cache again"
            ) from error



"""The image caches of a home."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from hnp_pipeline import study
from hnp_pipeline.home import Home

if TYPE_CHECKING:
    from hnp_pipeline.imaging.store import ImageStore


@dataclass(frozen=True)
class Images:
    """Pixels by content, from every collection's cache."""

    home: Home
    imaging: study.Imaging

    def store(self, examples: pa.Table) -> "ImageStore":
        """The images of `examples` (column sha256), in their order.

        Raises:
            StepError: an image is in none of the caches.
        """
        from hnp_pipeline.imaging.store import ImageCache, ImageStore

        folders = sorted(self.home.cache("").glob(f"*/{self.imaging.hash}/index.parquet"))
        caches = [ImageCache.open(index.parent.parent, self.imaging) for index in folders]
        return ImageStore(caches, examples["sha256"])

"""What the three file formats say when a file cannot be read."""


class BrokenFileError(Exception):
    """What is wrong with a file, in words that hold none of its values; who opened it adds the names."""

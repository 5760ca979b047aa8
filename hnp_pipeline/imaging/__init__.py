"""Pictures: which can be read, how they are decoded, CLAHE, and the cache that training reads."""

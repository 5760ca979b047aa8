"""Where the models looked: Grad-CAM, overlays, sanity checks (design 9)."""

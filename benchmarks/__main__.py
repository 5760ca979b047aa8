"""`make bench`: the short form of every benchmark in turn. Each has more options of its own (`--help`)."""

import subprocess
import sys

SHORT = [
    ["benchmarks.imaging"],
    ["benchmarks.training"],
    ["benchmarks.intervals", "speed"],
    ["benchmarks.gradcam"],
    ["benchmarks.readings"],
    ["benchmarks.cohort"],
    ["benchmarks.truth"],
]

for module, *options in SHORT:
    print(f"\n== {module} {' '.join(options)}", flush=True)
    subprocess.run([sys.executable, "-m", module, *options], check=True)

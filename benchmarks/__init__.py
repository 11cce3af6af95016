"""How fast runkon is, as ratios to yardsticks measured in the same round. `python -m benchmarks`."""

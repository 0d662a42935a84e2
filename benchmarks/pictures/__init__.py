"""Pictures of speed, drawn from the recorded benchmarks: `python -m benchmarks.pictures`."""

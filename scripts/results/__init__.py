"""What ships and is computed from the benchmarks' files, made anew by ``carrot results``."""

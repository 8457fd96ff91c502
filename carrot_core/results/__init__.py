"""The results that ship: snapshots, fitted heads and ``docs/results.md``, all made by ``carrot results``."""

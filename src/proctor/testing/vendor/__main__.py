"""The vendor in a process of its own: `python -m proctor.testing.vendor`, told on stdin."""

from proctor.testing.vendor.server import run_child

if __name__ == "__main__":
    run_child()

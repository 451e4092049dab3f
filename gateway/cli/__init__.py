"""The command line. A composition root like `gateway/wiring.py`: it may import anything, and nothing imports it."""

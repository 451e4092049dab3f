"""Talking to model servers: `ENGINES` lists what a configuration may name."""

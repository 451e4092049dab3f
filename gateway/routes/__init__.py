"""Routes: paths and their documentation, nothing else."""

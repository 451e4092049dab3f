"""A client for gRPC over HTTP/2 that does what calls to a model server need, and little else."""

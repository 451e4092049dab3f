"""Which model, which replica, and when."""

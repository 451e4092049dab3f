"""What may be asked of the admin listener: a file for each kind of thing."""

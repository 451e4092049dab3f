"""Who may ask, how much, and what may be said."""

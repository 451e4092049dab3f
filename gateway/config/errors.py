"""The one way in which a configuration is refused."""


class ConfigError(Exception):
    """What is wrong with the configuration, a line per mistake, fit for a terminal."""

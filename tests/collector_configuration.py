"""Merges files of the Collector's configuration."""


def merged(earlier, later):
    """Merges two configurations as the Collector does: maps are merged, and other values are replaced."""
    joined = dict(earlier)
    for key, value in later.items():
        both = isinstance(value, dict) and isinstance(earlier.get(key), dict)
        joined[key] = merged(earlier[key], value) if both else value
    return joined

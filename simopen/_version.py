"""The version, in the one place that packaging and ``simopen --version`` read."""

__version__ = "0.1.0"

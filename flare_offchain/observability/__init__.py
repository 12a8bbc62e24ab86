"""What a running node tells about itself."""

from flare_offchain.observability.logging import Redactor, configure_logging

__all__ = ["Redactor", "configure_logging"]

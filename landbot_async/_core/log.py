"""The logger of the package. It is silent until the application sets up logging."""

from __future__ import annotations

import logging
from typing import Final

log: Final = logging.getLogger("landbot_async")
log.addHandler(logging.NullHandler())

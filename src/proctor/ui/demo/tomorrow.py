"""A command with tomorrow's quotas: `python -m proctor.ui.demo.tomorrow run resolve`.

Only the time by which providers' limits are counted is moved, as the demo moves the vendor's: by
a day. No option of Proctor does that, or a limit would be no limit.
"""

from __future__ import annotations

import sys

from datetime import timedelta

from proctor.ui.cli import main

if __name__ == "__main__":
    sys.exit(main(limits_ahead=timedelta(days=1)))

"""``python -m interpassay``."""

from interpassay import main

raise SystemExit(main())

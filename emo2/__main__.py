"""`python -m emo2`."""

from emo2.cli import main

raise SystemExit(main())

"""The folder of a project in which runkon keeps what it records, beside what people write there."""

from __future__ import annotations

STATE_FOLDER = ".runkon"
GITIGNORE = """\
# what runkon writes itself; workflows and plugins belong into the repository
/runkon.db*
/*.db-wal
/*.db-shm
/logs/
/cache/
/rescue/
/blobs/
/*-blobs/
/internal-error-*.txt
__pycache__/
"""

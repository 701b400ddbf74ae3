"""``python -m pipeline.audit FOLDER``: a run on bars cut off, as another process of the audit asks for it."""

import sys
from pathlib import Path

from pipeline.audit.cut_run import answer
from pipeline.errors import PipelineError

if __name__ == "__main__":
    try:
        answer(Path(sys.argv[1]))
    except PipelineError as error:
        sys.exit(str(error))

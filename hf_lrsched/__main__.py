"""`python -m hf_lrsched`: the command `hf-lrsched`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())

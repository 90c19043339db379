"""The command line from a clone: `python main.py` is the installed command `scoreinv`."""

from scoreinv.cli import main

if __name__ == "__main__":
    main()

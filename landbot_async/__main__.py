"""`python -m landbot_async` is the `landbot` command."""

from landbot_async.cli import main

if __name__ == "__main__":
    main()

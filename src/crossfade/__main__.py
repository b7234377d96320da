"""`python -m crossfade` is the `crossfade` script."""

from crossfade.app.cli.main import main

if __name__ == "__main__":
    main()

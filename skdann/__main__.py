"""``python -m skdann`` prints the versions that a report of a problem should name."""

from skdann._versions import show_versions

if __name__ == "__main__":
    show_versions()

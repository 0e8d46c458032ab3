"""What `make bench` measures; each module runs on its own, too."""

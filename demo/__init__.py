"""The listening app: `python -m demo.app --run FOLDER` from the repository root."""

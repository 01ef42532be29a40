"""Speeds, as ratios against peers that run side by side in the same run."""

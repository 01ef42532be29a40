"""Tests of what is contributed beside the package."""

"""Tests of metrics, liveness and readiness."""

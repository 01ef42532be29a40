"""What a daemon counts and measures, for Prometheus; and whether it lives and is ready, for whoever runs it."""

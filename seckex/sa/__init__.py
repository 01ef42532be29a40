"""What a security association is and how one is agreed."""

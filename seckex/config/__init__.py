"""Every setting, default and limit: TOML in, frozen objects out."""

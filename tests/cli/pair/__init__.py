"""``seckex pair`` and what it leaves behind."""

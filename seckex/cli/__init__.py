"""The ``seckex`` command."""

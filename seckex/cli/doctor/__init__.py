"""``seckex doctor``: everything around a daemon that can be wrong, looked at in one go, each with what to do."""

from seckex.cli.doctor.command import configurations, doctor, examined

__all__ = ["configurations", "doctor", "examined"]

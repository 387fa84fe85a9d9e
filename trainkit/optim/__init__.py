"""Optimizers and learning-rate schedules."""

from trainkit.optim.factory import NAMES, build
from trainkit.optim.schedules import Constant, Cyclical, OneCycle, WarmUp, schedule

__all__ = ["NAMES", "Constant", "Cyclical", "OneCycle", "WarmUp", "build", "schedule"]

"""The engines that make profiles: one thread, several threads, torch on a processor or on GPUs; the same bits."""

from pipeline.profiles.engines.choice import CROSSOVERS, Crossover, choose_device, on_device, profile_sessions_on

__all__ = ["CROSSOVERS", "Crossover", "choose_device", "on_device", "profile_sessions_on"]

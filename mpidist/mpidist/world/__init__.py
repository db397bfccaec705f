"""The kernel's side of the ranks: starting them, giving them tasks, ending them, finding lost ones."""

from __future__ import annotations

from mpidist.world.launcher import Launcher, Local
from mpidist.world.registry import SessionInfo, new_id, sessions, state_folder
from mpidist.world.world import World

__all__ = ["Launcher", "Local", "SessionInfo", "World", "new_id", "sessions", "state_folder"]

"""How the replay's parts are compiled: for each other only, not to be called from Python, which halves the wait."""

from functools import partial

from numba import njit

__all__ = ["inlined", "inner"]

inner = partial(njit, cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
# For what takes many arrays and is called for every order: a call would hand over each array's seven numbers.
inlined = partial(njit, cache=True, nogil=True, inline="always")

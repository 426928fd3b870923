"""From displacement to result: what a retrieval gives, its file, and the phase behind it."""

from specksim.retrieval.integration import integrate_phase
from specksim.retrieval.result import Retrieval, write_retrieval

__all__ = ["Retrieval", "integrate_phase", "write_retrieval"]

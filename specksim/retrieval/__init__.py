"""From a pair of images to displacement, transmission, dark field and phase: trackers and what they share."""

from specksim.retrieval.integration import integrate_phase
from specksim.retrieval.lcs import lcs
from specksim.retrieval.result import Retrieval, write_retrieval
from specksim.retrieval.umpa import umpa
from specksim.retrieval.xst import xst

__all__ = ["Retrieval", "integrate_phase", "lcs", "umpa", "write_retrieval", "xst"]

"""From a pair of images to displacement, transmission, dark field and phase: trackers and what they share."""

from specksim.retrieval.integration import integrate_phase
from specksim.retrieval.lcs import lcs
from specksim.retrieval.mist import mist
from specksim.retrieval.optical_flow import flow_ilk, flow_tvl1
from specksim.retrieval.registry import find_method, method_names, retrieve
from specksim.retrieval.result import Retrieval, write_retrieval
from specksim.retrieval.speckle_tie import speckle_tie
from specksim.retrieval.umpa import umpa
from specksim.retrieval.xst import xst

__all__ = [
    "Retrieval",
    "find_method",
    "flow_ilk",
    "flow_tvl1",
    "integrate_phase",
    "lcs",
    "method_names",
    "mist",
    "retrieve",
    "speckle_tie",
    "umpa",
    "write_retrieval",
    "xst",
]

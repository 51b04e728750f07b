"""What AdamW^2's cap would have been along the run of another optimiser (arXiv 2505.21910).

In: probed spectral norms and the learning rates of a run. Out: its caps as shares of the learning rate.
"""

import numpy as np
import polars
from numpy.typing import NDArray


def implied_caps(probes: polars.DataFrame, rates: NDArray[np.floating], tau: float) -> polars.DataFrame:
    """Rows step, value = min(1, tau sigma_1(W) / (lr sigma_1(U))), one per matrix whose two norms were probed.

    A matrix that is zero, as some start, has no cap (AdamW^2 steps it at the full rate); nor has one that stays.

    `probes`: step, module, quantity, value; `rates` [steps]: the rate lr of each step, which is what AdamW^2 compares
    its cap with (not the peak: along a decay the cap lets go because the rate falls).
    """
    weights, updates = (
        probes.filter(polars.col("quantity") == f"sigma_1_{name}").select(
            "step", "module", polars.col("value").alias(name)
        )
        for name in ("weight", "update")
    )
    norms = weights.filter(polars.col("weight") > 0)
    norms = norms.join(updates.filter(polars.col("update") > 0), on=["step", "module"], maintain_order="left")
    norms = norms.filter(polars.col("step") < len(rates))
    rate = polars.Series("rate", rates[norms["step"].to_numpy()])
    share = tau * polars.col("weight") / (polars.col("rate") * polars.col("update"))
    return norms.with_columns(rate).select("step", value=share.clip(upper_bound=1.0))

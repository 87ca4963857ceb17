"""Differences between Hydra 1.3 with OmegaConf 2.3 and Hydra 1.4 with OmegaConf 2.4.

with hydra.initialize_config_dir(folder, **VERSION_BASE):
    ...
register_resolver("ceil_div", ceil_div, replace=True)
"""

from typing import Any

import hydra
from omegaconf import OmegaConf

IS_1_3 = hydra.__version__.startswith("1.3.")

VERSION_BASE: dict[str, Any] = {"version_base": "1.3"} if IS_1_3 else {}
"""Hydra 1.3 has to be asked for its current behaviour; 1.4 warns if it is asked."""

# In OmegaConf 2.3 `register_resolver` is an older function with other arguments.
register_resolver: Any = OmegaConf.register_new_resolver if IS_1_3 else OmegaConf.register_resolver
"""Registers a resolver of configs."""

"""Write data/simulated anew (some minutes on a CPU): ``python -m scripts.simulated``."""

from carrot_core.benchmarks.built_in import SIMULATED, write_simulated
from carrot_core.embedding import embed
from carrot_core.paths import shipped
from scripts.simulated import simulate

write_simulated(simulate(), embed, shipped(SIMULATED))

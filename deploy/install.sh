#!/bin/sh
# Install CARROT with all it needs into a new virtual environment, without what no server runs (tests, headers, debug
# symbols): deploy/install.sh FOLDER, from a checkout. `strip` comes with binutils.
# LOCK names another list than that of versions with hashes, which is of Python 3.11 on Linux x86-64; TORCH_INDEX is where
# PyTorch without CUDA is, and empty where pip knows it anyway.
set -eu
venv=$1
lock=${LOCK:-deploy/requirements.lock}
index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
export PYTHONDONTWRITEBYTECODE=1

python3 -m venv --without-pip "$venv"
install() { python3 -m pip --python "$venv/bin/python" --disable-pip-version-check install --no-cache-dir --no-compile "$@"; }
install ${index:+--extra-index-url "$index"} -r "$lock"
install --no-deps .
"$venv/bin/python" -c 'from carrot_core.dashboard.components import install_plotly_js as copy; copy()'

rm -r "$venv/share/jupyter" "$venv/etc"
cd "$venv"/lib/python3.*/site-packages
find . -type d -name tests -prune -exec rm -r {} +
rm -r torch/test torch/include pyarrow/include pyarrow/*flight* pydeck/nbextension plotly/labextension
find torch/bin -type f ! -name torch_shm_manager -delete
# Not those that auditwheel has rewritten, which do not load once they are stripped.
strip --strip-unneeded torch/lib/libtorch_cpu.so torch/lib/libtorch_python.so llvmlite/binding/libllvmlite.so \
    pyarrow/libarrow.so.* pyarrow/libarrow_compute.so.* pyarrow/libparquet.so.*

# What is left works: a prompt is embedded and routed.
trial=$(mktemp -d)
CARROT_HOME=$trial NUMBA_CACHE_DIR=$trial "$venv/bin/python" -c 'import kaleido, pyarrow.dataset, sklearn.ensemble, streamlit
from carrot_core import CarrotRouter
print(CarrotRouter.load("mmlu-pro-cot").route("What is 2 + 2?"))'
rm -r "$trial"

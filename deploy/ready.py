"""Say whether the server on this machine answers prompts at once; exit code 1 while it does not.

``python ready.py [ADDRESS]``, that of the health check.
"""

import json
import sys
from urllib.request import urlopen

HEALTH = "http://localhost:8501/api/v1/health"  # by this name: list it among those the server may be called by

address = sys.argv[1] if len(sys.argv) > 1 else HEALTH
try:
    with urlopen(address, timeout=4) as response:
        status = json.load(response)["status"]
except OSError as error:  # no server yet, or one that says it failed
    sys.exit(f"{address}: {error}")
print(status)
sys.exit(status in ("cold", "warming"))

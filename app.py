"""Entry point of the dashboard: ``carrot app``, or ``streamlit run app.py`` where the package is installed."""

from carrot_core.dashboard import shell

shell.run()

"""The dashboard: pages and the modules they share; the only part of the library that uses Streamlit."""

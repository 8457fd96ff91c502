"""Data: which benchmarks are loaded, from where, and how complete."""

import streamlit as st

from carrot_core.dashboard import shell

shell.guard(__file__)
st.title("Data")
benchmarks = shell.loaded_benchmarks()

counts = {
    "Prompts": [info.n_prompts for info in benchmarks],
    "Models": [info.n_models for info in benchmarks],
    "Outcomes": [info.n_outcomes for info in benchmarks],
    "Missing cells": [info.n_missing for info in benchmarks],
    "Prompts with text": [info.n_with_text for info in benchmarks],
    "Repeated prompts": [info.n_duplicate_prompts for info in benchmarks],
}
st.dataframe(
    {
        "Benchmark": [info.name for info in benchmarks],
        **counts,
        "Source": [info.source for info in benchmarks],
        "Licence": [info.licence or "not stated" for info in benchmarks],
        "Note": [info.note for info in benchmarks],
    },
    hide_index=True,
    column_config={name: st.column_config.NumberColumn(format="localized") for name in counts},
    alt="One row for each loaded benchmark: its size, its gaps, its source and its licence.",
)

for info in benchmarks:
    with st.expander(shell.plain(info.name)):
        st.text(f"Models: {', '.join(info.models)}")
        st.text(f"Split: {info.split_rule} (seed {info.split_seed})")
        st.text(f"Loaded: {info.loaded_at}")
        st.text(f"Content: sha256 {info.data_hash}")
        if info.sha256:
            st.text(f"Source file: sha256 {info.sha256}")
        for warning in info.warnings:
            st.warning(shell.plain(warning))

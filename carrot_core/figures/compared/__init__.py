"""Figures of the Compare page: each a function of tables (`carrot_core.analyses`, comparisons) to an exhibit."""

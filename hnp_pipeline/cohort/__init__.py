"""The cohort: which radiographs are in the study, with which labels, split and fold, and why the others are not."""

"""One workload through several models or configurations: joules per response, paired, with intervals and their decomposition."""

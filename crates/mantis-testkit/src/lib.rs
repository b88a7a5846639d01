//! Crash rig, faults, conformance suite, test servers.

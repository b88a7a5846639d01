//! Commits: validate, number, log, apply, publish.

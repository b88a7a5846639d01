//! What happens to commits when the disk fails below the log.

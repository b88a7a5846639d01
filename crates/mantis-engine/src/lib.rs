//! Versioned ordered storage: memory engine, LSM engine, row cache.

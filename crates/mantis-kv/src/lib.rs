//! The key-value model.

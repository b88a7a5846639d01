//! Histories of many clients: through the simple store, which calibrates, and the real one.

mod controls;
mod store;

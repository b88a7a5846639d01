//! The facade that every front end calls.

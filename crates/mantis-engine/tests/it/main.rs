//! The engines from outside: the conformance suite over both of them.

#[cfg(test)]
mod conformance;

//! The engines from outside: the conformance suite over both, memory budgets, the memory engine.

#[cfg(test)]
mod conformance;

#[cfg(test)]
mod budget;

#[cfg(test)]
mod memory;

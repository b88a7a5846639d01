//! The key-value model against its own promises and against a BTreeMap.

#[cfg(test)]
mod behaviour;
#[cfg(test)]
mod counting;
#[cfg(test)]
mod large;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod model;
#[cfg(test)]
mod setup;

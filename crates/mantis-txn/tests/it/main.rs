//! The commit pipeline over a memory engine and a real log.

#[cfg(test)]
mod commits;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod together;
#[cfg(test)]
mod transactions;
#[cfg(test)]
mod watch;

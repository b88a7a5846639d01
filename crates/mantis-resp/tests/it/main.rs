//! The Redis wire over real sockets.

#[cfg(test)]
mod rig;

#[cfg(test)]
mod commands;

#[cfg(test)]
mod connections;

#[cfg(test)]
mod documents;

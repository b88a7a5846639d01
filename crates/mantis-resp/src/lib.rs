//! The Redis wire: a listener that Redis clients talk to, over the keys and values of database 0.
//!
//! [`Server::bind`] and [`Server::run`] serve; each connection reads requests ([`RequestReader`]), looks
//! commands up in one table ([`COMMANDS`]), calls the session, and writes replies ([`Reply`]).
//!
//! It is not:
//! - complete: [`COMMANDS`] says of each command whether it is built; what is not is refused by name;
//! - a cache that forgets: every acknowledged write is as durable as [`Rules`] say;
//! - the judge of who may do what: [`Rules`] are, and the session.
//!
//! Limits: requests as [`RequestLimits`] says, before memory is taken for them; a connection holds the
//! replies of at most 128 requests, and reads on when the client has taken them.
#![deny(clippy::indexing_slicing)]

mod commands;
mod connection;
mod failure;
mod inline;
mod number;
mod reply;
mod request;
mod rules;
mod server;
mod table;

pub use reply::{Protocol, Reply};
pub use request::{ProtocolError, RequestLimits, RequestReader};
pub use rules::Rules;
pub use server::{RespConfig, Server, ServerError};
pub use table::{COMMANDS, CommandInfo, Group, markdown};

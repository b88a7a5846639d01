//! What is decided outside: who a client is, and how durable its writes are.

use std::net::IpAddr;

use mantis_session::Principal;
use mantis_types::Durability;

/// The settings of a server as they are at this moment, the same for all of its front ends.
pub trait Rules: std::fmt::Debug + Send + Sync + 'static {
    /// Whom a password belongs to, with the name that was given with it, if any; `None` for nobody.
    fn verify(&self, user: Option<&str>, password: &str) -> Option<Principal>;

    /// Who a client is that has shown nothing.
    fn stranger(&self, peer: IpAddr) -> Principal;

    /// What the reply to a write waits for.
    fn durability(&self) -> Durability;
}

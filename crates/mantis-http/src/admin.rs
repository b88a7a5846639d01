//! The admin API, `/api/**`: bare objects in place of the envelope.

pub(crate) mod configuration;
pub(crate) mod docs;
pub(crate) mod kv;
pub(crate) mod measures;
pub(crate) mod overview;
pub(crate) mod streams;

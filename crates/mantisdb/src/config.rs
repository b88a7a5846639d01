//! The configuration: which settings there are, where their values come from, who may change them.

mod edit;
mod keys;
mod layers;
mod live;
mod nearest;
mod rules;
mod setting;
mod show;
mod values;

pub(crate) use keys::{LoggingSettings, Settings};
pub(crate) use layers::{Inputs, Loaded, Problem, load};
pub(crate) use live::{LiveConfig, write_whole};
pub(crate) use nearest::nearest;
pub(crate) use rules::{address, credentials, default_durability, store_limits};
pub(crate) use setting::{Level, LogFormat, LogOutput, Setting};
pub(crate) use show::{as_json, as_table};

#[cfg(test)]
mod tests;

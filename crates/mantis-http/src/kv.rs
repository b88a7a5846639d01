//! Keys and values, `/api/v1/kv/**`.

pub(crate) mod batch;
mod conditions;
pub(crate) mod increment;
pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod show;
pub(crate) mod value;

pub(crate) use batch::{BatchForm, BatchParts, ResultForm, result_views, run_batch};
pub(crate) use list::page_of;
pub(crate) use remove::delete;
pub(crate) use show::seconds_left;
pub(crate) use value::{expiry, write};

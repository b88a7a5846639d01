//! `/api/v1/transactions`: transactions that requests join by their id.

pub(crate) mod begin;
pub(crate) mod end;
pub(crate) mod savepoints;
pub(crate) mod status;
mod view;

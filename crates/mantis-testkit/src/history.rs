//! List-append histories: what clients did to lists of numbers, written down in the order in which it
//! was seen from outside, and judged by what each isolation level forbids.
//!
//! A key holds a list; an append reads it and writes it with one more number; no number is appended
//! twice. So each read tells which appends came before it, and in which order.

pub mod account;
pub mod client;
pub mod controls;
pub mod event;
pub mod journal;
pub mod judge;
pub mod lists;
pub mod model;
pub mod plan;
pub mod project;
pub mod run;
pub mod sweep;

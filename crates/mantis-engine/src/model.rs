//! Protocols of threads in miniature, under drawn schedules, each with seeded mutants: see
//! `docs/internals/concurrency-models.md`.

mod snapshots;
mod views;

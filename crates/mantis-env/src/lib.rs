//! Clock, randomness, files and tasks, real and simulated.

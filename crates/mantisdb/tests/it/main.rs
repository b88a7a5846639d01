//! The real program: started on a free port in a directory of its own, talked to and killed.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod facade;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod program;
#[cfg(test)]
mod redis;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod spelling;
#[cfg(test)]
mod transfer;
#[cfg(test)]
mod verbs;

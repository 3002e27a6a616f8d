//! `sala bench` as a process, against servers in this one.

mod loads;
mod refusals;
mod support;

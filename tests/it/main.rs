//! Every promise the program makes to its users, held against the real binary.
//!
//! One test binary, so that it links once. Each test works in a [`sandbox::Sandbox`], which gives
//! every process it starts a deadline and looks afterwards for whatever was left behind.

mod attach;
mod auto;
mod batch;
mod bench;
mod benchmarks;
mod checkpoint;
mod clean;
mod compare;
mod counters;
mod crash_points;
mod crew;
mod fault_table;
mod faults;
mod formats;
mod huge;
mod kernels;
mod launcher;
mod library;
mod lock;
mod main_job;
mod noise;
mod npy;
mod numpy;
mod packages;
mod placement;
mod plain;
mod record;
mod refusals;
mod sandbox;
mod scale;
mod schedules;
mod signals;
mod streams;
mod strikes;
mod tidy;
mod topo;
mod trace;
mod values;

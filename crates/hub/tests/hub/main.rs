//! A running hub over real HTTPS: what it takes, refuses, shows, pushes, and survives.

mod api;
mod crash;
mod doors;
mod start;
mod stream;
mod submit;
mod support;
mod tokens;

//! The dashboard: being logged in, what its pages ask, and its pages in a real browser.

mod pages;
mod questions;
mod sessions;

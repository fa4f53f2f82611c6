//! Arguments → command → exit code.
#![deny(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use pointsman::cli::Cli;

/// A request makes and gives back many small pieces of memory, which took an eighth of its time with
/// the system's allocator (docs/benchmarks.md); and this one returns pages that are no longer used. Huge
/// pages are switched off in it: with them an idle process has 20 MiB more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many threads one matrix product may use, for the library that makes them. One: requests
/// are what runs side by side here, and without a number it counts the processors by reading
/// /proc/cpuinfo, before each of the products.
const PRODUCT_THREADS: &str = "RAYON_NUM_THREADS";

/// Gives the code back that only starting has run, for the system has mapped 64 KiB around each place in
/// it: 12 of the 21 MiB that the process has by then. What is run again comes from the page cache.
fn give_back_pages() {
    #[cfg(target_os = "linux")]
    for range in pointsman::app::pages::clean(&std::fs::read_to_string("/proc/self/smaps").unwrap_or_default()) {
        // Safety: these pages are as their files have them, nothing may write to them, and whoever
        // reads them next gets them from there again.
        #[expect(unsafe_code, reason = "no safe call says this to the system")]
        let told = unsafe {
            rustix::mm::madvise(
                std::ptr::with_exposed_provenance_mut(range.start),
                range.len(),
                rustix::mm::Advice::LinuxDontNeed,
            )
        };
        // What cannot be given back is kept.
        let _ = told;
    }
}

fn main() -> ExitCode {
    if std::env::var_os(PRODUCT_THREADS).is_none() {
        // Safety: this is the first thing that the process does; there is no other thread that
        // could read the environment meanwhile.
        #[expect(unsafe_code, reason = "the library is told in no other way")]
        unsafe {
            std::env::set_var(PRODUCT_THREADS, "1");
        }
    }
    let cli = Cli::parse();
    // Every TLS connection of this process uses this provider; a second installation is
    // the only failure, and would mean the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("pointsman: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.run(give_back_pages)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pointsman: {error:#}");
            ExitCode::FAILURE
        }
    }
}

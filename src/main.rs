//! Arguments → command → exit code.

use std::process::ExitCode;

use clap::Parser;
use pointsman::cli::Cli;

fn main() -> ExitCode {
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
    match runtime.block_on(cli.run()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pointsman: {error:#}");
            ExitCode::FAILURE
        }
    }
}

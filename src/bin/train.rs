//! Makes the classifier's weights: arguments → `pointsman::training`.

use std::process::ExitCode;

use clap::Parser;
use pointsman::training::run::Arguments;

fn main() -> ExitCode {
    match Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("train: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! `pointsman completions`: what a shell has to know to complete our commands.

use clap::Command;
use clap_complete::Shell;

/// The script for a shell.
pub fn script(shell: Shell, mut command: Command) -> String {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

//! Programs of this machine's distribution that the tests need, installed where they are not.

use std::process::Command;

/// Installs packages by apt, if `there` says that they are not. Where that cannot be done what
/// needs them will say so.
pub fn see_to(packages: &[&str], there: impl Fn() -> bool) -> bool {
    if !there() {
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "--no-install-recommends"]).args(packages);
        let _ = apt.env("DEBIAN_FRONTEND", "noninteractive").output();
    }
    there()
}

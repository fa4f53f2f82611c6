//! Clocks that differ: libfaketime under one process.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::config::ConfigText;
use super::packages::see_to;

const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// A gateway of this configuration takes it to be so many seconds later than it is. What it
/// measures times with goes on as ever.
pub fn ahead(config: ConfigText, seconds: i64) -> ConfigText {
    config
        .env("LD_PRELOAD", &library().display().to_string())
        .env("FAKETIME", &format!("{seconds:+}s"))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_DONT_RESET", "1")
}

fn library() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let find = || {
            ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
                .map(|dir| Path::new(dir).join(LIBRARY))
                .into_iter()
                .find(|path| path.exists())
        };
        see_to(&["faketime"], || find().is_some());
        find().expect("these tests need libfaketime")
    })
}

/// A gateway of this configuration takes it to be later than it is by what stands in a file, such
/// as `+10s`, which is read every time.
pub fn jumping(config: ConfigText, file: &Path) -> ConfigText {
    config
        .env("LD_PRELOAD", &library().display().to_string())
        .env("FAKETIME_TIMESTAMP_FILE", &file.display().to_string())
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

//! A real browser at the dashboard: the system's Chromium, driven by the scripts of
//! `tests/browser`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::packages::see_to;
use super::python::python;

/// What Chromium is called, where it comes from and where it does not.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A gateway as a browser and the scripts reach it.
#[derive(Clone, Debug)]
pub struct Site {
    /// The admin listener, as `http://…`.
    pub admin: String,
    /// The data plane.
    pub data: String,
    /// An admin token.
    pub token: String,
}

/// Runs `tests/browser/<script>` and returns what stands behind each `ok `.
///
/// # Panics
/// If one of its tests fails; what it said is the message. Pictures are in
/// `target/dashboard`.
pub async fn run(script: &'static str, args: &[&str], site: &Site) -> Vec<String> {
    let chromium = tokio::task::spawn_blocking(chromium).await.expect("it is waited for");
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder in target").join("dashboard");
    let env = [
        ("POINTSMAN_ADMIN", site.admin.as_str()),
        ("POINTSMAN_DATA", &site.data),
        ("POINTSMAN_TOKEN", &site.token),
        ("CHROMIUM", &chromium),
        ("SHOTS", &shots.display().to_string()),
    ];
    let args: Vec<&str> = std::iter::once(script).chain(args.iter().copied()).collect();
    let said = python("browser", &args, &env).await;
    said.lines().filter_map(|line| line.strip_prefix("ok ")).map(str::to_owned).collect()
}

/// The program, which is installed if it is not there.
fn chromium() -> String {
    see_to(&["chromium"], || found().is_some());
    let found = found().unwrap_or_else(|| panic!("these tests need Chromium, as one of {NAMES:?}"));
    found.display().to_string()
}

fn found() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let paths = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    paths.into_iter().find(|path| answers(path))
}

fn answers(program: &Path) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    program.is_file() && command.status().is_ok_and(|status| status.success())
}

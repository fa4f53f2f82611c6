//! Python with what a folder of the tests requires, such as the official SDKs: a virtual
//! environment that is made once, and scripts that tell what they have seen in lines
//! `ok <what>`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::packages::see_to;

/// The folder with the official SDKs.
const SDK: &str = "sdk";

/// Runs `tests/sdk/<script>` and returns what stands behind each `ok `.
///
/// # Panics
/// If the script does not end well; its output is the message.
pub async fn run(script: &str, args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
    let script = folder(SDK).join(script).display().to_string();
    let args: Vec<&str> = std::iter::once(script.as_str()).chain(args.iter().copied()).collect();
    let said = python(SDK, &args, env).await;
    said.lines().filter_map(|line| line.strip_prefix("ok ")).map(str::to_owned).collect()
}

/// Runs Python with what `tests/<folder>/requirements.txt` wants, in that folder, and returns
/// what it says.
///
/// # Panics
/// If it does not end well; its output is the message.
pub async fn python(of: &'static str, args: &[&str], env: &[(&str, &str)]) -> String {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let env: Vec<(String, String)> = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(environment(of));
        // Without the person's own packages and variables of Python, and without compiled files
        // in the sources.
        command.current_dir(folder(of)).args(["-B", "-E", "-s"]).args(args).envs(env);
        command.output().expect("python runs")
    })
    .await
    .expect("it is waited for");
    assert!(output.status.success(), "{}", whole(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The interpreter of the virtual environment for these requirements, which is made if it is
/// not there. Tests of this process make it once; two processes at once may each make one,
/// and the first to be done is kept.
fn environment(of: &str) -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let requirements = folder(of).join("requirements.txt");
    let digest = digest(&fs::read(&requirements).expect("requirements.txt"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder in target");
    let venv = target.join(format!("{of}-venv-{}", &digest[..12]));
    if !venv.exists() {
        let unfinished = target.join(format!("{of}-venv-unfinished-{}", std::process::id()));
        make(&unfinished);
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        must(Command::new(unfinished.join("bin").join("python")).args(install).arg(&requirements));
        if fs::rename(&unfinished, &venv).is_err() {
            // Another process was faster.
            fs::remove_dir_all(&unfinished).expect("the folder can be removed");
        }
    }
    venv.join("bin").join("python")
}

/// Debian and its relatives have `venv` in a package of its own, and without it leave half
/// an environment behind.
fn make(venv: &Path) {
    let attempt = || {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(venv);
        command
    };
    let made = || attempt().output().is_ok_and(|output| output.status.success());
    if !see_to(&["python3", "python3-venv"], made) {
        must(&mut attempt());
    }
}

/// Runs a command that the tests cannot do without.
fn must(command: &mut Command) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{command:?} failed; these tests need Python 3 with venv and pip\n{}", whole(&output)),
        Err(error) => panic!("{command:?} cannot run ({error}); these tests need Python 3 with venv and pip"),
    }
}

fn whole(output: &Output) -> String {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{}\n{stdout}\n{stderr}", output.status)
}

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(of)
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
